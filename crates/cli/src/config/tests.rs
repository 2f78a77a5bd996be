use assay_engine::profile::SanRule;

use super::*;

fn parse(text: &str) -> anyhow::Result<Config> {
    Config::parse(text, std::iter::empty())
}

fn error(text: &str) -> String {
    format!("{:#}", parse(text).unwrap_err())
}

fn with_variable(name: &str, value: &str) -> anyhow::Result<Config> {
    Config::parse("", std::iter::once((name.to_owned(), value.to_owned())))
}

#[test]
fn an_empty_file_is_the_safe_default() {
    let config = parse("").unwrap();
    assert_eq!(config.admission.mode, Mode::Listed);
    assert_eq!(config.profile, Profile::privacy_preserving());
    assert_eq!(config.server.tls, Tls::OwnCa);
    assert!(config.server.listen.ip().is_loopback());
    assert!(!config.needs_laboratory());
    assert_eq!(config.recording.keep, Keep::None);
    assert_eq!(config.time.max_jump.seconds(), 3600);
    assert_eq!(config.time.max_rest.seconds(), 30 * 86_400);
}

#[test]
fn an_address_has_a_quarter_of_the_connections_unless_it_says_otherwise() {
    for (text, expected) in [
        ("", 1024),
        ("[server]\nmax_connections = 100\n", 25),
        ("[server]\nmax_connections = 1\n", 1),
        ("[limits]\nconnections_per_address = 7\n", 7),
        ("[limits]\nconnections_per_address = 0\n", 0),
    ] {
        let config = parse(text).unwrap();
        assert_eq!(config.connections_per_address(), expected, "{text}");
    }
    assert!(parse("[limits]\nconnections_per_address = -1\n").is_err());
}

#[test]
fn recordings_are_kept_where_it_says_so() {
    let text = "[recording]\nkeep = \"refused\"\ndirectory = \"/srv/r\"\nretention_days = 7\n";
    assert_eq!(
        parse(text).unwrap().recording,
        Recording {
            keep: Keep::Refused,
            directory: "/srv/r".into(),
            retention_days: 7,
        }
    );
    let all = parse("[recording]\nkeep = \"all\"\n").unwrap().recording;
    assert_eq!(
        (all.keep, all.directory.as_path(), all.retention_days),
        (Keep::All, Path::new("recordings"), 30)
    );
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    for (text, expected) in [
        (
            "[sever]\n",
            "unknown key \"sever\" at the top: did you mean \"server\"?",
        ),
        (
            "[server]\nbaseurl = \"https://a\"\n",
            "unknown key \"server.baseurl\" in [server]: did you mean \"base_url\"?",
        ),
        (
            "[attestation.aple]\n",
            "unknown key \"attestation.aple\" in [attestation]: did you mean \"apple\"?",
        ),
        (
            "[profile.default]\nzzzzzzzzzzzzzzzz = 1\n",
            "unknown key \"profile.default.zzzzzzzzzzzzzzzz\" in [profile.default]: known are subject, san, lifetime, csr_names",
        ),
        ("server = 1\n", "server must be a table: write [server]"),
        ("[server.listen]\n", "server.listen must not be a table"),
        (
            "[profile.wifi]\nlifetme = \"1d\"\n",
            "unknown key \"profile.wifi.lifetme\" in [profile.wifi]: did you mean \"lifetime\"?",
        ),
        (
            "[directory.wifi]\nprofile = []\n",
            "unknown key \"directory.wifi.profile\" in [directory.wifi]: did you mean \"profiles\"?",
        ),
        (
            "[profile]\nwifi = 1\n",
            "profile.wifi must be a table: write [profile.wifi]",
        ),
        (
            "[[profile.wifi]]\n",
            "profile.wifi must be a table: write [profile.wifi]",
        ),
        ("profile = 1\n", "profile must be a table: write [profile]"),
        (
            "[limits.override]\n",
            "limits.override must be a list of tables: write [[limits.override]]",
        ),
    ] {
        assert_eq!(error(text), expected);
    }
}

#[test]
fn values_are_checked() {
    for (text, expected) in [
        (
            "[server]\nbase_url = \"http://a\"\n",
            "must begin with https://",
        ),
        (
            "[server]\nbase_url = \"https://a/\"\n",
            "must not end in a slash",
        ),
        ("[server]\ntls = \"files\"\n", "require server.tls"),
        ("[server]\ntls_key = \"x\"\n", "require server.tls"),
        ("[server]\nmax_connections = 0\n", "at least 1"),
        (
            "[server]\nmax_connections = 9000000000000000000\n",
            "at most 1000000",
        ),
        (
            "[server]\ntrusted_proxies = [\"::ffff:10.0.0.0/104\"]\n",
            "write 10.0.0.0/8",
        ),
        (
            "[limits]\nexempt = [\"::ffff:10.0.0.0/104\"]\n",
            "write 10.0.0.0/8",
        ),
        (
            "[[limits.override]]\nnetwork = \"::ffff:10.0.0.0/104\"\nfailed = 0\n",
            "write 10.0.0.0/8",
        ),
        (
            "[health]\nlisten = \"127.0.0.1:8443\"\n",
            "another address or port",
        ),
        ("[acme]\norder_lifetime = \"8\"\n", "not a duration"),
        ("[acme]\norder_lifetime = \"1s\"\n", "from 1m to 30d"),
        (
            "[profile.default]\nlifetime = \"1s\"\n",
            "from 10m to 3650d",
        ),
        ("[profile.default]\nsubject = \"\"\n", "without any name"),
        (
            "[profile.default]\nsubject = \"CN={x}\"\n",
            "{x} is not one of",
        ),
        (
            "[profile.default]\nsan = [\"dns\"]\n",
            "\"dns\" is not one of",
        ),
        (
            "[attestation.apple]\nassigners = [\"1\"]\n",
            "\"1\" is not a dotted-decimal",
        ),
        ("[recording]\nkeep = \"some\"\n", "unknown variant `some`"),
        (
            "[recording]\nretention_days = 0\n",
            "recording.retention_days must be from 1 to 3650",
        ),
        ("[time]\nmax_jump = \"59s\"\n", "from 1m to 1d"),
        ("[time]\nmax_rest = \"59m\"\n", "from 1h to 3650d"),
        (
            "[admission]\nmode = \"everybody\"\n",
            "unknown variant `everybody`",
        ),
    ] {
        let error = error(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn the_environment_overrides_what_is_harmless() {
    let config = with_variable("ASSAY_SERVER__BASE_URL", "https://ca.example.org").unwrap();
    assert_eq!(
        config.server.base_url.unwrap().to_string(),
        "https://ca.example.org"
    );
    let config = with_variable("ASSAY_STORE__FREE_SPACE", "0").unwrap();
    assert_eq!(config.store.free_space, Size::parse("0"));
    let config = with_variable("ASSAY_SERVER__MAX_CONNECTIONS", "7").unwrap();
    assert_eq!(config.server.max_connections, 7);
    let config =
        with_variable("ASSAY_PROFILE__DEFAULT__SAN", "[\"permanent-identifier\"]").unwrap();
    assert_eq!(config.profile.san, [SanRule::PermanentIdentifier]);
    assert!(with_variable("ASSAY_DIR", "/nowhere").is_ok());
}

#[test]
fn scenario_123_the_environment_does_not_weaken_security() {
    for name in [
        "ASSAY_ADMISSION__MODE",
        "ASSAY_ADMISSION__DEVICES",
        "ASSAY_ATTESTATION__APPLE__LABORATORY_ROOTS",
        "ASSAY_RECORDING__KEEP",
        "ASSAY_TIME__MAX_JUMP",
        "ASSAY_LIMITS__CONNECTIONS_PER_ADDRESS",
        "ASSAY_LIMITS__EXEMPT",
        "ASSAY_LIMITS__DRY_RUN",
        "ASSAY_LIMITS__NEW_ORDER",
        "ASSAY_LIMITS__NEW_ORDER__BURST",
        "ASSAY_LIMITS__OVERRIDE",
        "ASSAY_LIMITS__OVERRIDE__NETWORK",
        "ASSAY_LIMITS__OVERRIDE__FAILED",
        "ASSAY_PROFILE__WIFI__SUBJECT",
        "ASSAY_DIRECTORY__WIFI__PROFILES",
        "ASSAY_DIRECTORY__WIFI__WEBSITE",
    ] {
        let error = format!("{:#}", with_variable(name, "any-attested").unwrap_err());
        let key = name.strip_prefix("ASSAY_").unwrap();
        let key = key.replace("__", ".").to_lowercase();
        let expected = format!(
            "the environment variable {name} would change {key}, which can only be set in the file, assay.toml"
        );
        assert_eq!(error, expected);
    }
    for name in [
        "ASSAY_PROFILE__DEFAULT",
        "ASSAY_PROFILE__DEFAULT__ISSUER",
        "ASSAY_DIRECTORY__WIFI",
        "ASSAY_LIMITS__NEW_ORDERS",
        "ASSAY_LIMITS__NEW_ORDER__BURSTS",
    ] {
        let error = format!("{:#}", with_variable(name, "1").unwrap_err());
        assert!(
            error.contains("does not name a configuration key"),
            "{error}"
        );
    }
    let error = format!(
        "{:#}",
        with_variable("ASSAY_SERVER__BASEURL", "x").unwrap_err()
    );
    assert!(
        error.contains("does not name a configuration key"),
        "{error}"
    );
}

#[test]
fn profiles_and_directories_have_names() {
    let config = parse(
        r#"
        [profile.short]
        lifetime = "1h"
        [profile.wifi-2]
        subject = "CN={serial}"
        [directory.wifi]
        profiles = ["short", "default"]
        website = "https://example.org/wifi"
        [directory.plain]
        [directory.vpn]
        profiles = ["default", "wifi-2"]
        default_profile = "wifi-2"
        "#,
    )
    .unwrap();
    assert_eq!(config.profile, Profile::privacy_preserving());
    let lifetimes: Vec<_> = (config.profiles())
        .map(|(name, profile)| (name.to_string(), profile.lifetime))
        .collect();
    let day = 86_400;
    assert_eq!(
        lifetimes,
        [("default", 90 * day), ("short", 3600), ("wifi-2", 90 * day)]
            .map(|(name, lifetime)| (name.to_owned(), lifetime))
    );
    let directory = |name| {
        let directory = &config.directories[&DirectoryName::parse(name).unwrap()];
        let profiles: Vec<_> = directory.profiles.iter().map(ProfileName::as_str).collect();
        (profiles, directory.default_profile.as_str())
    };
    assert_eq!(directory("wifi"), (vec!["short", "default"], "short"));
    assert_eq!(directory("plain"), (vec!["default"], "default"));
    assert_eq!(directory("vpn"), (vec!["default", "wifi-2"], "wifi-2"));
    let wifi = &config.directories[&DirectoryName::parse("wifi").unwrap()];
    assert_eq!(wifi.website.as_deref(), Some("https://example.org/wifi"));
    assert_eq!(wifi.terms_of_service, None);
}

#[test]
fn names_that_lead_nowhere_are_refused() {
    for (text, expected) in [
        ("[profile.Wifi]\n", "profile.Wifi: a name is at most 32"),
        ("[profile.\"\"]\n", "profile.: a name is at most 32"),
        ("[profile.defualt]\n", "did you mean \"default\"?"),
        (
            "[profile.short]\nlifetime = \"1s\"\n",
            "profile.short.lifetime must be from 10m",
        ),
        (
            "[profile.short]\nsubject = \"CN={x}\"\n",
            "profile.short.subject: {x} is not one of",
        ),
        ("[directory.a_b]\n", "directory.a_b: a name is at most 32"),
        ("[directory.default]\n", "its keys are in [acme]"),
        (
            "[directory.new-nonce]\n",
            "directory.new-nonce: URLs of the default directory begin with it",
        ),
        (
            "[profile.short]\n[directory.wifi]\nprofiles = [\"shrt\"]\n",
            "directory.wifi.profiles: there is no [profile.shrt]: did you mean \"short\"?",
        ),
        (
            "[directory.wifi]\nprofiles = [\"other\"]\n",
            "directory.wifi.profiles: there is no [profile.other]: known are default",
        ),
        (
            "[directory.wifi]\nprofiles = []\n",
            "directory.wifi.profiles: a directory must offer at least one",
        ),
        (
            "[directory.wifi]\nprofiles = [\"default\", \"default\"]\n",
            "occurs twice",
        ),
        (
            "[profile.short]\n[directory.wifi]\ndefault_profile = \"short\"\n",
            "directory.wifi.default_profile: \"short\" is not among directory.wifi.profiles",
        ),
        (
            "[directory.wifi]\nwebsite = \"x\"\n",
            "directory.wifi.website: \"x\" is not the URL of a page",
        ),
    ] {
        let error = error(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn what_changed_is_named_by_its_table() {
    let before = parse("[profile.a]\n[directory.b]\n[directory.c]\n").unwrap();
    let after = parse("[profile.a]\nlifetime = \"1h\"\n[directory.c]\n[log]\naccess = true\n");
    let different = before.different_sections(&after.unwrap());
    assert_eq!(different, ["log", "profile.a", "directory.b"]);
    assert!(before.different_sections(&before.clone()).is_empty());
}

#[test]
fn base_urls() {
    for (text, host, port, shown) in [
        (
            "https://CA.example.org",
            "ca.example.org",
            443,
            "https://ca.example.org",
        ),
        (
            "https://ca.example.org:443",
            "ca.example.org",
            443,
            "https://ca.example.org",
        ),
        (
            "https://127.0.0.1:8443",
            "127.0.0.1",
            8443,
            "https://127.0.0.1:8443",
        ),
        ("https://[::1]:8443", "::1", 8443, "https://[::1]:8443"),
        ("https://[::1]", "::1", 443, "https://[::1]"),
    ] {
        let url: BaseUrl = text.parse().unwrap();
        assert_eq!((url.host().to_string().as_str(), url.port()), (host, port));
        assert_eq!(url.to_string(), shown);
    }
    for text in [
        "https://",
        "https://a:0",
        "https://a:x",
        "https://a:99999",
        "https://a b",
        "https://-a",
        "https://a/b",
        "https://u@a",
        "https://a?b",
        "https://[::1",
        "https://1.2.3",
        "https://::1",
        "HTTPS://a",
    ] {
        assert!(text.parse::<BaseUrl>().is_err(), "{text}");
    }
}

#[test]
fn spans_of_time() {
    assert_eq!(
        Duration::parse("90d").map(Duration::seconds),
        Some(7_776_000)
    );
    assert_eq!(Duration::parse("5m").map(Duration::seconds), Some(300));
    for text in [
        "",
        "d",
        "-1d",
        "+1d",
        "1.5h",
        "90",
        "1w",
        "99999999999999999999d",
        "1é",
    ] {
        assert_eq!(Duration::parse(text), None, "{text}");
    }
}

#[test]
fn where_tls_ends() {
    for (text, expected) in [
        ("", Tls::OwnCa),
        ("tls = \"own-ca\"", Tls::OwnCa),
        ("tls = \"off\"", Tls::Off),
        (
            "tls = \"files\"\ntls_certificate = \"a.pem\"\ntls_key = \"a.key\"",
            Tls::Files {
                certificate: "a.pem".into(),
                key: "a.key".into(),
            },
        ),
    ] {
        assert_eq!(
            parse(&format!("[server]\n{text}")).unwrap().server.tls,
            expected
        );
    }
}

#[test]
fn every_sample_configuration_can_be_used() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/config");
    let mut count = 0;
    for entry in std::fs::read_dir(samples).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        parse(&text).unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
        count += 1;
    }
    assert!(count >= 3, "{count}");
}

#[test]
fn two_listeners_of_one_port_are_refused_where_one_holds_the_other() {
    for (server, health, clash) in [
        ("127.0.0.1:9000", "127.0.0.1:9000", true),
        ("0.0.0.0:9000", "127.0.0.1:9000", true),
        ("127.0.0.1:9000", "[::]:9000", true),
        ("[::]:9000", "[::1]:9000", true),
        ("[::ffff:127.0.0.1]:9000", "127.0.0.1:9000", true),
        ("0.0.0.0:9000", "[::1]:9000", false),
        ("127.0.0.1:9000", "127.0.0.2:9000", false),
        ("0.0.0.0:9000", "127.0.0.1:9001", false),
        ("127.0.0.1:0", "127.0.0.1:0", false),
    ] {
        let text = format!("[server]\nlisten = \"{server}\"\n[health]\nlisten = \"{health}\"\n");
        let parsed = parse(&text);
        assert_eq!(parsed.is_err(), clash, "{text}: {parsed:?}");
    }
    let said = error("[server]\nlisten = \"[::]:1\"\n[health]\nlisten = \"127.0.0.1:1\"\n");
    assert!(said.contains("health.listen (127.0.0.1:1)"), "{said}");
}

#[test]
fn a_page_is_a_url() {
    for key in ["terms_of_service", "website"] {
        let with = |value: &str| format!("[acme]\n{key} = {value:?}\n");
        for good in ["https://example.org/terms", "http://example.org/?a=b#c"] {
            parse(&with(good)).unwrap();
        }
        for bad in [
            "",
            "x y",
            "example.org",
            "mailto:a@example.org",
            "https://",
            "https://e\u{e9}/",
            "/terms",
        ] {
            let said = error(&with(bad));
            assert!(said.contains(key), "{said}");
        }
    }
}

#[test]
fn networks_that_are_every_address_together_are_seen() {
    for (networks, everyone) in [
        (&["0.0.0.0/1", "128.0.0.0/1"][..], "0.0.0.0/0"),
        (&["::/1", "10.0.0.0/8", "8000::/1"], "::/0"),
        (&["0.0.0.0/0"], "0.0.0.0/0"),
        (&["0.0.0.0/1", "128.0.0.0/2"], ""),
        (&[], ""),
    ] {
        let text = format!("[server]\ntrusted_proxies = {networks:?}\n");
        let config = parse(&text).unwrap();
        let found: Vec<_> = config
            .trusted_everyone()
            .map(|net| net.to_string())
            .collect();
        assert_eq!(found.concat(), everyone, "{text}");
    }
}
