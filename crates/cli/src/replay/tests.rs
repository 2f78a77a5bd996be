use std::fs;

use assay_engine::domain::Attribute;
use assay_proto::WireIdentifier;
use assay_recording::{Acme, Admission, Answer, Claims, Contents, Evidence, Recording, Rule, Time};
use assay_simulator::{authority::AttestationAuthority, evidence::DeviceProperties};
use rcgen::PublicKeyData;
use sha2::{Digest, Sha256};

use super::*;
use crate::replay::paths::Listed;

const TIME: u64 = 1_795_000_000;

/// Good evidence of a laboratory, recorded as refused, with its root.
fn recording(authority: &AttestationAuthority) -> Recording {
    let key = rcgen::KeyPair::generate()
        .unwrap()
        .subject_public_key_info();
    let mac = DeviceProperties::mac("C02AAA", "00008112-A");
    let freshness = Sha256::digest("token");
    let evidence = authority.attest(&mac, &key, &freshness, TIME).unwrap();
    let identifier = WireIdentifier {
        kind: "permanent-identifier".to_owned(),
        value: "C02AAA".to_owned(),
    };
    let admission = Admission::new(Rule::Listed, Attribute::Serial, "C02AAA");
    let answer = Answer::Object(evidence.attestation_object());
    let mut contents = Contents::new(
        Time::from_seconds(TIME).unwrap(),
        Evidence::Acme(Box::new(Acme::new("token", identifier, admission, answer))),
        Claims::refused("unknown-anchor"),
    );
    contents.embedded_root = Some(authority.root_der().to_vec());
    Recording::new(contents).unwrap()
}

/// As if the command line named each.
fn rows(batch: &Batch, files: &[PathBuf]) -> Vec<Row> {
    let files: Vec<_> = files.iter().cloned().map(named).collect();
    batch.judge_all(&files).unwrap()
}

fn named(path: PathBuf) -> Listed {
    Listed { path, folder: None }
}

fn shown(rows: &[Row]) -> String {
    table::report(rows, &[], &Totals::of(rows), false)
}

#[test]
fn a_folder_means_its_json_files_in_order() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("folder");
    fs::create_dir_all(folder.join("inner")).unwrap();
    let error = paths::expand(std::slice::from_ref(&folder), false).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("folder has no recording in it: a folder means its *.json"),
        "{error}"
    );
    for name in ["b.json", "a.json", "root.pem", "inner/c.json"] {
        fs::write(folder.join(name), "").unwrap();
    }
    let single = home.path().join("no-such-file");
    assert_eq!(
        paths::expand(&[single.clone(), folder.clone()], false).unwrap(),
        [single, folder.join("a.json"), folder.join("b.json")]
    );
}

#[test]
fn scenario_122_a_root_that_a_file_brings_counts_only_where_asked_for_and_is_told() {
    let home = tempfile::tempdir().unwrap();
    let authority = AttestationAuthority::create(TIME).unwrap();
    let own = home.path().join("own.json");
    fs::write(&own, recording(&authority).to_json()).unwrap();
    let files = [own];

    let distrusted = rows(&Batch::new(Vec::new(), false, When::Recorded), &files);
    assert_eq!(distrusted[0].result(), "same");
    let shown = shown(&distrusted);
    assert!(!shown.contains("ATTENTION"), "{shown}");

    let trusting = Batch::new(Vec::new(), true, When::Recorded);
    for _ in 0..2 {
        let rows = rows(&trusting, &files);
        let totals = Totals::of(&rows);
        assert_eq!((totals.different, totals.own_root), (1, 1));
        let replayed = rows[0].replayed().unwrap();
        assert!(replayed.verdict.is_accepted());
        let shown = self::shown(&rows);
        assert!(shown.contains("different (UNDER ITS OWN ROOT)"), "{shown}");
        assert!(
            shown.contains("ATTENTION: 1 of these were judged under a root"),
            "{shown}"
        );
    }

    // A root that was given is nobody's own.
    let root = assay_attest::TrustAnchor::laboratory(authority.root_der(), "given").unwrap();
    let given = rows(&Batch::new(vec![root], true, When::Recorded), &files);
    assert_eq!(Totals::of(&given).own_root, 0);
    assert!(given[0].replayed().unwrap().verdict.is_accepted());
}

#[test]
fn scenario_122_todays_clock_says_expired() {
    let home = tempfile::tempdir().unwrap();
    let authority = AttestationAuthority::create(TIME).unwrap();
    let path = home.path().join("a.json");
    fs::write(&path, recording(&authority).to_json()).unwrap();
    let later = Batch::new(Vec::new(), true, When::At(TIME + 365 * 86_400));
    let rows = rows(&later, &[path]);
    let replayed = rows[0].replayed().unwrap();
    assert_eq!(replayed.verdict.to_string(), "refused: expired");
    assert_eq!(
        rows[0].findings(),
        [r#"verdict.reason: recorded "unknown-anchor", replayed "expired""#]
    );
}

#[test]
fn what_cannot_be_read_is_named_and_the_others_are_judged() {
    let home = tempfile::tempdir().unwrap();
    let authority = AttestationAuthority::create(TIME).unwrap();
    let good = home.path().join("good.json");
    fs::write(&good, recording(&authority).to_json()).unwrap();
    let mut contents = recording(&authority).into_contents();
    contents.embedded_root = Some(authority.sub_der().to_vec());
    let false_root = home.path().join("false-root.json");
    fs::write(&false_root, Recording::new(contents).unwrap().to_json()).unwrap();
    let junk = home.path().join("junk.json");
    fs::write(&junk, "[]").unwrap();
    let files = [home.path().join("absent.json"), false_root, good, junk];
    let rows = rows(&Batch::new(Vec::new(), true, When::Recorded), &files);
    let results: Vec<_> = rows.iter().map(Row::result).collect();
    assert_eq!(
        results,
        ["unreadable", "unreadable", "different", "unreadable"]
    );
    assert!(
        rows[0].findings()[0].starts_with("cannot read "),
        "{:?}",
        rows[0].findings()
    );
    assert_eq!(
        rows[1].findings(),
        [
            "\"embedded_root\" cannot be trusted: the certificate is not self-signed: configure the root of its hierarchy instead"
        ]
    );
    let totals = Totals::of(&rows);
    assert_eq!(
        totals,
        Totals {
            recordings: 4,
            same: 0,
            different: 1,
            unreadable: 3,
            own_root: 1,
            blessed: 0,
            skipped: 0
        }
    );
    let stop = totals.end(&rows).unwrap_err().to_string();
    assert!(
        stop.starts_with("3 of 4 recordings cannot be judged: "),
        "{stop}"
    );
}

#[test]
fn a_report_for_machines_tells_of_a_root_that_the_file_brings() {
    let home = tempfile::tempdir().unwrap();
    let authority = AttestationAuthority::create(TIME).unwrap();
    let mut contents = recording(&authority).into_contents();
    contents.embedded_root = Some(authority.root_der().to_vec());
    let file = home.path().join("own-root.json");
    fs::write(&file, Recording::new(contents).unwrap().to_json()).unwrap();
    let rows = rows(&Batch::new(Vec::new(), true, When::Recorded), &[file]);
    let told = junit::report(&rows, &Totals::of(&rows));
    assert!(
        told.contains("root    judged under the root that the file brings"),
        "{told}"
    );
}

#[test]
fn a_report_for_machines_holds_whatever_a_stranger_wrote() {
    let file = "<a>&\"\u{1b}.json";
    let row = Row {
        file: file.to_owned(),
        listed: named(file.into()),
        took: std::time::Duration::from_micros(1_500),
        outcome: Outcome::Unreadable("bad \u{0} & <worse>\nmore\u{ffff}".to_owned()),
    };
    let rows = [row];
    assert_eq!(
        junit::report(&rows, &Totals::of(&rows)),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites tests=\"1\" failures=\"0\" errors=\"1\" time=\"0.001500\">\n\
         \x20 <testsuite name=\"assay replay\" tests=\"1\" failures=\"0\" errors=\"1\" time=\"0.001500\">\n\
         \x20   <testcase classname=\"unreadable\" name=\"&lt;a&gt;&amp;&quot;\\u{1b}.json\" time=\"0.001500\">\n\
         \x20     <error message=\"bad \\u{0} &amp; &lt;worse&gt;\\u{a}more\u{fffd}\" type=\"unreadable\">bad \\u{0} &amp; &lt;worse&gt;\\u{a}more\u{fffd}</error>\n\
         \x20   </testcase>\n\
         \x20 </testsuite>\n\
         </testsuites>\n"
    );
    let shown = shown(&rows);
    assert!(
        shown.contains("<a>&\"\\u{1b}.json: bad \\u{0} & <worse>\\u{a}more"),
        "{shown}"
    );
}
