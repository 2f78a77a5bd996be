use assay_engine::admission::form::Unlikely;

use super::{
    finding::{FaultKind, WarningKind},
    *,
};

const HEADER: &str = "serial,udid,comment\n";

fn read(rows: &str) -> ListReading {
    DeviceList::read(format!("{HEADER}{rows}").as_bytes()).unwrap()
}

fn faults(bytes: &[u8]) -> Vec<(usize, FaultKind)> {
    let unusable = DeviceList::read(bytes).unwrap_err();
    assert_eq!(unusable.faults.more, 0);
    let faults = unusable.faults.first.into_iter();
    faults.map(|fault| (fault.line, fault.kind)).collect()
}

fn warnings(rows: &str) -> Vec<(usize, WarningKind)> {
    let warnings = read(rows).warnings;
    assert_eq!(warnings.more, 0);
    let warnings = warnings.first.into_iter();
    warnings
        .map(|warning| (warning.line, warning.kind))
        .collect()
}

#[test]
fn an_entry_decides_which_attribute_is_compared() {
    let list = read(
        "C02AAA,,Anna's Mac, the old one\r\n\n# spare\n,00008110-000A1B2C3D4E5F60,\nC02BBB , 00008110-000A1B2C3D4E5F61\n",
    )
    .list;
    assert_eq!(list.len(), 3);
    assert_eq!(list.find("C02AAA"), Some(Attribute::Serial));
    assert_eq!(
        list.find("00008110-000A1B2C3D4E5F60"),
        Some(Attribute::Udid)
    );
    assert_eq!(list.find("C02BBB"), Some(Attribute::Serial));
    assert_eq!(
        list.find("00008110-000A1B2C3D4E5F61"),
        Some(Attribute::Udid)
    );
    assert_eq!(list.find("c02aaa"), None);
    assert_eq!(list.find(""), None);
    let beside = Some((Attribute::Udid, "00008110-000A1B2C3D4E5F61"));
    assert_eq!(list.other_attribute("C02BBB"), beside);
    assert_eq!(list.other_attribute("C02AAA"), None);
}

#[test]
fn the_empty_list_of_a_new_server_knows_no_device() {
    let reading = read("");
    assert!(reading.list.is_empty() && reading.warnings.is_empty());
    assert_eq!(reading.list.find("C02AAA"), None);
    assert_eq!(reading.list.hints("C02AAA"), [ListHint::Empty]);
}

#[test]
fn scenario_131_a_bad_list_names_every_line_at_fault() {
    use FaultKind as F;
    let character = |name: &str, character| F::Character {
        name: name.to_owned(),
        character,
    };
    let ambiguous = |name: &str, first| F::Ambiguous {
        name: name.to_owned(),
        first,
    };
    assert_eq!(faults(b""), [(1, F::Header(String::new()))]);
    let text = "udid,serial,comment\nC02AAA\nC02BBB,\n,,no name\n\"C02CCC\",\nC02 DDD,\n\
        X,\n\nY,X\nZ,Z\nX,W\n";
    assert_eq!(
        faults(text.as_bytes()),
        [
            (1, F::Header("udid,serial,comment".to_owned())),
            (2, F::Fields),
            (4, F::Nameless),
            (5, character("\"C02CCC\"", '"')),
            (6, character("C02 DDD", ' ')),
            (9, ambiguous("X", 7)),
            (10, ambiguous("Z", 10)),
            (11, ambiguous("X", 7)),
        ]
    );
}

#[test]
fn of_very_many_faults_and_warnings_the_rest_is_counted() {
    let text = format!("{HEADER}{}", "C02AAA\n".repeat(23));
    let unusable = DeviceList::read(text.as_bytes()).unwrap_err();
    let said = unusable.to_string();
    assert!(said.starts_with("line 2: a line needs"), "{said}");
    assert!(said.contains("; line 21: "), "{said}");
    assert!(said.ends_with("; and 3 more"), "{said}");
    let rows: String = (0..105).map(|n| format!("abc{n},,\n")).collect();
    let warnings = read(&rows).warnings;
    assert_eq!((warnings.first.len(), warnings.more), (100, 5));
}

#[test]
fn encodings_of_spreadsheets_are_named_with_their_remedy() {
    let text = format!("{HEADER}C02AAA,,Jos\u{e9}\n");
    let utf16 =
        |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(bytes).collect() };
    let little = utf16(u16::to_le_bytes);
    for bytes in [
        little.clone(),
        [b"\xff\xfe", &little[..]].concat(),
        [b"\xfe\xff", &utf16(u16::to_be_bytes)[..]].concat(),
    ] {
        assert_eq!(faults(&bytes), [(1, FaultKind::Utf16)]);
    }
    let latin1: Vec<u8> = text.chars().map(|letter| letter as u8).collect();
    assert_eq!(faults(&latin1), [(2, FaultKind::Latin1(0xe9))]);
    for bytes in [little, latin1] {
        let said = DeviceList::read(&bytes).unwrap_err().to_string();
        assert!(said.contains("in Excel save as \"CSV UTF-8\""), "{said}");
    }
    // With a byte order mark the text is UTF-8.
    let utf8 = format!("\u{feff}{text}");
    assert_eq!(DeviceList::read(utf8.as_bytes()).unwrap().list.len(), 1);
    let semicolons = DeviceList::read(b"serial;udid;comment\nC02AAA;;\n").unwrap_err();
    let said = semicolons.to_string();
    assert!(said.ends_with("separate the fields by commas"), "{said}");
}

#[test]
fn invisible_characters_are_named_by_their_code_point() {
    for (letter, code) in [
        ('\u{200b}', "U+200B"),
        ('\u{202e}', "U+202E"),
        ('\u{2066}', "U+2066"),
        ('\u{ad}', "U+00AD"),
        ('\u{a0}', "U+00A0"),
        ('\u{3000}', "U+3000"),
        ('\u{feff}', "U+FEFF"),
        ('\u{7}', "U+0007"),
    ] {
        // Inside a name and at its end.
        for name in [format!("C02{letter}AAA"), format!("C02AAA{letter}")] {
            let text = format!("{HEADER}{name},,\n");
            let said = DeviceList::read(text.as_bytes()).unwrap_err().to_string();
            assert!(said.starts_with("line 2: "), "{said}");
            assert!(said.contains(code), "{said}");
        }
    }
}

#[test]
fn the_same_device_again_counts_once_and_other_words_are_a_fault() {
    let reading = read("C02AAA,UDID-A,one\nC02AAA,UDID-A,two\n");
    assert_eq!(reading.list.len(), 1);
    let duplicate = WarningKind::Duplicate {
        name: "C02AAA".to_owned(),
        first: 2,
    };
    assert!(
        (reading.warnings.first.iter()).any(|one| one.line == 3 && one.kind == duplicate),
        "{}",
        reading.warnings
    );
    for rows in [
        "C02AAA,UDID-A,\nC02AAA,,\n",
        "C02AAA,UDID-A,\nC02AAA,UDID-B,\n",
        "C02AAA,UDID-A,\nC02BBB,UDID-A,\n",
    ] {
        let text = format!("{HEADER}{rows}");
        let found = faults(text.as_bytes());
        assert!(
            matches!(&found[..], [(3, FaultKind::Ambiguous { first: 2, .. })]),
            "{found:?}"
        );
    }
}

#[test]
fn a_line_without_its_newline_and_what_it_swallowed_are_warnings() {
    let swallowed = |comment: &str| WarningKind::RowInComment(comment.to_owned());
    let no_newline = WarningKind::NoFinalNewline;
    assert_eq!(warnings("C02XK0AAJHD2,,"), [(2, no_newline)]);
    for (rows, comment) in [
        (
            "C02XK0AAJHD2,,AnnaC02XK0AAJHD3,,Ben\n",
            "AnnaC02XK0AAJHD3,,Ben",
        ),
        ("C02XK0AAJHD2,,C02XK0AAJHD3,,\n", "C02XK0AAJHD3,,"),
        (
            "C02XK0AAJHD2,,C02XK0AAJHD3,00008110-000A1B2C3D4E5F60\n",
            "C02XK0AAJHD3,00008110-000A1B2C3D4E5F60",
        ),
        ("# spareC02XK0AAJHD3,,Ben\n", "spareC02XK0AAJHD3,,Ben"),
    ] {
        assert_eq!(warnings(rows), [(2, swallowed(comment))], "{rows}");
    }
    // Comments with commas, and a row that was commented out.
    for rows in [
        "C02XK0AAJHD2,,Anna's Mac, the old one, 2019\n",
        "#C02XK0AAJHD3,,Ben\n",
        "# C02XK0AAJHD3,00008110-000A1B2C3D4E5F60,\n",
        "# ,00008110-000A1B2C3D4E5F60,\n",
        "# devices of room 3, and of room 4\n",
    ] {
        assert_eq!(warnings(rows), [], "{rows}");
    }
    // The next row joined the UDID.
    let joined = warnings("C02XK0AAJHD2,00008110-000A1B2C3D4E5F60C02XK0AAJHD3,,\n");
    assert!(
        matches!(&joined[..], [(2, WarningKind::NoUdid(_))]),
        "{joined:?}"
    );
}

#[test]
fn names_that_can_never_match_are_warnings_with_their_line() {
    use Unlikely as U;
    for (name, reason) in [
        ("$SERIALNUMBER", U::Variable),
        ("%SerialNumber%", U::Variable),
        ("{{serial}}", U::Variable),
        ("1.23457E+11", U::Scientific),
        ("Unknown", U::Placeholder),
        ("None", U::Placeholder),
        ("4C4C4544-0042-3510-8051-B4C04F4E3132", U::Uuid),
        ("00008112000A1B2C3D4E5F60", U::NoHyphen),
        ("c02xk0aajhd2", U::LowerCase),
    ] {
        for row in [format!("{name},,\n"), format!(",{name},\n")] {
            let unlikely = WarningKind::Unlikely {
                name: name.to_owned(),
                reason,
            };
            assert_eq!(warnings(&row), [(2, unlikely)], "{row}");
        }
    }
    // With a slash it is not a valid name.
    let text = format!("{HEADER}N/A,,\n");
    assert_eq!(faults(text.as_bytes()).len(), 1);
    assert_eq!(
        warnings("C02XK0AAJHD2,,\nC02XK0aAJHD2,,\n").last(),
        Some(&(
            3,
            WarningKind::CaseOnly {
                name: "C02XK0aAJHD2".to_owned(),
                other: "C02XK0AAJHD2".to_owned(),
                first: 2,
            }
        ))
    );
    let (serial, udid) = ("C02XK0AAJHD2", "00008110-000A1B2C3D4E5F60");
    let swapped = |name: &str, column| WarningKind::Swapped {
        name: name.to_owned(),
        column,
    };
    assert_eq!(
        warnings(&format!("{udid},{serial},\n")),
        [
            (2, swapped(udid, Attribute::Serial)),
            (2, swapped(serial, Attribute::Udid)),
        ]
    );
    assert_eq!(warnings(&format!("{serial},{udid},\n")), []);
}

#[test]
fn hints_name_what_the_list_has_instead() {
    let serials = read("C02XK0AAJHD2,,\nC02XK0AAJHD3,,\n").list;
    let other_case = |listed: &str, line| ListHint::OtherCase {
        listed: listed.to_owned(),
        line,
    };
    assert_eq!(
        serials.hints("c02xk0aajhd3"),
        [other_case("C02XK0AAJHD3", 3)]
    );
    assert_eq!(
        serials.hints("00008110-000A1B2C3D4E5F60"),
        [ListHint::OnlySerials]
    );
    assert_eq!(serials.hints("C02XK0AAJHD9"), []);
    let udid = "2b6f0cc904d137be2e1730235f5664094b831186";
    let udids = read(&format!(",{udid},\n")).list;
    assert_eq!(udids.find(udid), Some(Attribute::Udid));
    let upper = udid.to_ascii_uppercase();
    assert_eq!(udids.find(&upper), None);
    assert_eq!(udids.hints(&upper), [other_case(udid, 2)]);
    assert_eq!(udids.hints("C02XK0AAJHD2"), [ListHint::OnlyUdids]);
    let listed = ListHint::OtherAttribute {
        attribute: Attribute::Udid,
        line: 2,
    };
    assert_eq!(udids.hints(udid), [listed]);
}

#[test]
fn a_difference_counts_devices_and_names_ten() {
    let rows = |from: usize, to: usize| -> String {
        (from..to).map(|n| format!("C02XK0AA{n:04},,\n")).collect()
    };
    let (old, new) = (read(&rows(0, 30)).list, read(&rows(15, 31)).list);
    let changes = new.changes_since(&old);
    assert_eq!(changes.added.first, ["C02XK0AA0030"]);
    assert_eq!((changes.added.count, changes.removed.count), (1, 15));
    assert_eq!(changes.removed.first.len(), 10);
    assert_eq!(changes.removed.first[0], "C02XK0AA0000");
    // Half is not more than half, and ten are not more than ten.
    assert!(!changes.is_great_loss(30));
    let loss = |from: usize, of: usize| {
        let (old, new) = (read(&rows(0, of)).list, read(&rows(from, of)).list);
        new.changes_since(&old).is_great_loss(of)
    };
    assert!(loss(16, 30));
    assert!(!loss(10, 12));
    assert!(loss(11, 12));
    // A name under the other attribute is another device.
    let (serial, udid) = (read("X,,\n").list, read(",X,\n").list);
    assert_eq!(udid.changes_since(&serial).removed.count, 1);
}

#[test]
fn a_lost_column_is_a_great_loss() {
    let rows = |with_udid: bool| {
        let mut text = "serial,udid,comment\n".to_owned();
        for n in 0..40 {
            let udid = if with_udid {
                format!("00008112-{n:016X}")
            } else {
                String::new()
            };
            text += &format!("C02XK0AA{n:04},{udid},\n");
        }
        DeviceList::read(text.as_bytes()).unwrap().list
    };
    let (both, serials) = (rows(true), rows(false));
    let changes = serials.changes_since(&both);
    assert_eq!(changes.removed.count, 0);
    assert!(changes.is_great_loss(both.len()));
    assert_eq!(changes.lost_column(both.len()), Some(("udid", 40, 40)));
    let back = both.changes_since(&serials);
    assert!(!back.is_great_loss(serials.len()));
    // If the devices were removed too, they are reported instead.
    let none = DeviceList::default().changes_since(&both);
    assert!(none.is_great_loss(both.len()));
    assert_eq!(none.lost_column(both.len()), None);
}

#[test]
fn a_nul_byte_is_no_utf16_by_itself() {
    let mut bytes = b"serial,udid,comment\nC02XK0AAJHD2,,\n".to_vec();
    bytes.extend([0; 100]);
    for (bytes, line) in [(bytes, 3), (vec![0; 100], 1)] {
        let faults = DeviceList::read(&bytes).unwrap_err().faults.first;
        assert_eq!(faults.len(), 1);
        assert_eq!((faults[0].line, &faults[0].kind), (line, &FaultKind::Nul));
    }
}

#[test]
fn what_no_list_can_hold_is_known() {
    for name in ["", "a b", "a\n", "\u{200b}X", "\"X\"", "X/1.2.3"] {
        assert!(!DeviceList::can_hold(name), "{name:?}");
    }
    assert!(DeviceList::can_hold("C02XK0AAJHD2"));
}
