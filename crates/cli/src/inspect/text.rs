//! The report for people.

use std::io::{self, Write};

use super::{
    extension::APPLE,
    json::{
        AppleRoot, Certificate, CheckOutcome, Content, Entry, EntryContent, Extension, Facts,
        Fault, Report, Request, Root, Validity, Verdict,
    },
    origin::Other,
    tree,
};
use crate::terminal::escape;

const SUBJECT_ALT_NAME: &str = "2.5.29.17";

/// Writes the report. Whatever stems from the file is escaped.
pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    if let Some(origin) = &report.origin {
        origin.write(out)?;
    }
    content(report, out)?;
    let others = report.origin.iter().flat_map(|origin| &origin.others);
    for other in others {
        writeln!(out)?;
        match other {
            Other::Fault { piece, error } => {
                writeln!(out, "Piece {piece} cannot be shown: {}", escape(error))?;
            }
            Other::Shown(report) => write(report, out)?,
        }
    }
    Ok(())
}

fn content(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    match &report.content {
        Content::AttestationObject {
            format,
            certificates,
        } => {
            let title = format!("Attestation object, format \"{format}\"");
            chain(&title, certificates, report, out)
        }
        Content::Certificate { certificates } => {
            heading("Certificate", report, out)?;
            certificates.iter().try_for_each(|one| entry(one, out))
        }
        Content::Chain { certificates } => {
            let title = match is_chain(certificates, report) {
                true => "Chain",
                false => "Bundle",
            };
            chain(title, certificates, report, out)
        }
        Content::Csr { request } => {
            heading("Certification request (CSR)", report, out)?;
            csr(request, out)
        }
    }
}

fn heading(title: &str, report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{title}")?;
    let verdict = match &report.verdict {
        Some(Verdict {
            at,
            root: Some(root),
            ..
        }) if report.verified => {
            format!("VERIFIED at {at} under {}.", named(root))
        }
        Some(Verdict {
            root: Some(root),
            facts,
            ..
        }) => {
            let others = [&facts.dates, &facts.freshness];
            let found: Vec<_> = others
                .into_iter()
                .filter_map(|fact| Some(fact.fault.as_ref()?.reason))
                .collect();
            let found = match found.as_slice() {
                [] => "the freshness code was not compared".to_owned(),
                found => found.join(", "),
            };
            format!("NOT VERIFIED, but genuine under {}: {found}.", named(root))
        }
        Some(_) => {
            "NOT VERIFIED: this is what the file says; the checks tell what was found.".to_owned()
        }
        None => "NOT VERIFIED: this is what the file says, and anybody can write such a file."
            .to_owned(),
    };
    writeln!(out, "{}\n", escape(&verdict))
}

fn named(root: &Root) -> String {
    let kind = match root.laboratory {
        true => "the laboratory root",
        false => "Apple's root,",
    };
    format!("{kind} {}", root.name)
}

fn chain(
    title: &str,
    certificates: &[Entry],
    report: &Report,
    out: &mut dyn Write,
) -> io::Result<()> {
    let count = certificates.len();
    let plural = if count == 1 { "" } else { "s" };
    heading(
        &format!("{title}, {count} certificate{plural}"),
        report,
        out,
    )?;
    let is_chain = is_chain(certificates, report);
    if is_chain {
        tree::write(certificates, report.verdict.as_ref(), out)?;
    }
    if let Some(verdict) = &report.verdict {
        facts(verdict, out)?;
        checks(verdict, out)?;
    }
    for (index, one) in certificates.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        // Numbered as in the refusals of the verifier.
        let leaf = if is_chain && index == 0 {
            ", the leaf"
        } else {
            ""
        };
        writeln!(out, "Certificate {index}{leaf}")?;
        entry(one, out)?;
    }
    Ok(())
}

/// Several certificates in one file need not have issued each other.
fn is_chain(certificates: &[Entry], report: &Report) -> bool {
    report.verdict.is_some() || tree::is_linked(certificates)
}

/// The questions of an operator, each with its answer.
fn facts(verdict: &Verdict, out: &mut dyn Write) -> io::Result<()> {
    let Facts {
        chain,
        freshness,
        dates,
        key,
        properties,
    } = &verdict.facts;
    let signed = match &verdict.root {
        Some(root) => format!("genuine: signed under {}", named(root)),
        None => "signed under a trusted root".to_owned(),
    };
    writeln!(out, "Facts at {}", verdict.at)?;
    for (name, fact, good) in [
        ("chain", chain, signed.as_str()),
        ("freshness", freshness, "made for this token or nonce"),
        ("dates", dates, "each certificate is valid"),
        ("key", key, "can be attested"),
        ("properties", properties, "can be read"),
    ] {
        let words = match (fact.outcome, &fact.fault) {
            (CheckOutcome::Failed, Some(fault)) => {
                format!("NO: {}: {}", fault.reason, fault.detail)
            }
            (CheckOutcome::Failed, None) => "NO".to_owned(),
            (CheckOutcome::NotAsked, _) => "not compared: give --token".to_owned(),
            (CheckOutcome::NotReached, _) => "unknown: cannot be checked".to_owned(),
            (CheckOutcome::Passed, _) => good.to_owned(),
        };
        writeln!(out, "  {name:<12}  {}", escape(&words))?;
    }
    writeln!(out)
}

fn checks(verdict: &Verdict, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Checks at {}", verdict.at)?;
    for check in &verdict.checks {
        let (outcome, words) = match (check.outcome, &check.fault) {
            (CheckOutcome::NotAsked, _) => {
                ("not asked", "give --token or --nonce to compare".to_owned())
            }
            (CheckOutcome::NotReached, _) => ("not reached", String::new()),
            (CheckOutcome::Failed, Some(fault)) => {
                ("FAILED", format!("{}: {}", fault.reason, fault.detail))
            }
            (CheckOutcome::Failed, None) => ("FAILED", String::new()),
            (CheckOutcome::Passed, _) => ("passed", check.meaning.to_owned()),
        };
        let line = format!("  {:<12}  {outcome:<11}  {}", check.check, escape(&words));
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(out)
}

fn field(label: &str, value: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "  {label:<20} {}", escape(value))
}

fn entry(entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
    match &entry.content {
        EntryContent::Certificate(one) => certificate(one, &entry.sha256, out),
        EntryContent::Broken { fault } => {
            field("Cannot be decoded", &in_words(fault), out)?;
            field("SHA-256", &entry.sha256, out)
        }
    }
}

fn certificate(certificate: &Certificate, sha256: &str, out: &mut dyn Write) -> io::Result<()> {
    if let Some(fault) = &certificate.fault {
        field(
            "As evidence",
            &format!("refused: {}: {}", fault.reason, fault.detail),
            out,
        )?;
    }
    if certificate.version != 3 {
        field("Version", &certificate.version.to_string(), out)?;
    }
    field("Subject", or_empty(&certificate.subject), out)?;
    field("Issuer", or_empty(&certificate.issuer), out)?;
    field("Serial number", &certificate.serial_number, out)?;
    field("Not before", &certificate.not_before.to_string(), out)?;
    field("Not after", &certificate.not_after.to_string(), out)?;
    let validity = match certificate.validity {
        Validity::Expired => "no: expired",
        Validity::NotYetValid => "no: not yet",
        Validity::Valid => "yes",
    };
    field("Valid", validity, out)?;
    field("Signature algorithm", &certificate.signature_algorithm, out)?;
    field("Key", &certificate.key, out)?;
    field("Key SHA-256 (SPKI)", &certificate.spki_sha256, out)?;
    field("SHA-256", sha256, out)?;
    let root = match certificate.apple_root {
        Some(AppleRoot::Issuer) => {
            "names Apple's root as its issuer; whether that is true was not checked"
        }
        Some(AppleRoot::This) => "this is Apple's root, as pinned",
        None => "no, nor does it name that root as its issuer",
    };
    field("Apple's root", root, out)?;
    let (apple, others): (Vec<_>, Vec<_>) = certificate
        .extensions
        .iter()
        .partition(|extension| extension.oid.starts_with(APPLE));
    if !apple.is_empty() {
        writeln!(out, "  Apple properties")?;
    }
    for extension in apple {
        property(extension, out)?;
    }
    if !others.is_empty() {
        writeln!(out, "  Extensions")?;
    }
    for extension in others {
        // A name may hold what would separate names within a line.
        let lines = extension.oid == SUBJECT_ALT_NAME && extension.fault.is_none();
        let value = match &extension.fault {
            None if extension.decoded.is_empty() => raw(extension),
            None if lines => format!("{} in all", extension.decoded.len()),
            None => extension.decoded.join(", "),
            Some(fault) => format!("{}; {}", in_words(fault), raw(extension)),
        };
        let (name, oid) = (extension.name.as_deref(), &extension.oid);
        let flags = flags(extension);
        let line = format!("{} ({oid}{flags}): {value}", name.unwrap_or("unknown"));
        writeln!(out, "    {}", escape(&line))?;
        for name in extension.decoded.iter().filter(|_| lines) {
            writeln!(out, "      {}", escape(name))?;
        }
    }
    Ok(())
}

fn property(extension: &Extension, out: &mut dyn Write) -> io::Result<()> {
    let name = extension.name.as_deref().unwrap_or("undocumented");
    let value = match (&extension.fault, extension.decoded.as_slice()) {
        (Some(fault), _) => in_words(fault),
        (None, []) if extension.encoding.is_some() => "not attested".to_owned(),
        (None, []) => "kept as it is".to_owned(),
        (None, words) => words.join(", "),
    };
    writeln!(out, "    {}", escape(&format!("{name}: {value}")))?;
    let encoding = match &extension.encoding {
        Some(encoding) => format!(", {encoding}"),
        None => String::new(),
    };
    let (oid, flags) = (&extension.oid, flags(extension));
    writeln!(out, "      {oid}{flags}{encoding}, {}", raw(extension))?;
    match extension.meaning {
        Some(meaning) => writeln!(out, "      {meaning}"),
        None => Ok(()),
    }
}

fn flags(extension: &Extension) -> &'static str {
    match (extension.critical, extension.repeated) {
        (false, false) => "",
        (false, true) => ", repeated",
        (true, false) => ", critical",
        (true, true) => ", critical, repeated",
    }
}

fn raw(extension: &Extension) -> String {
    match extension.value.as_str() {
        "" => "empty".to_owned(),
        value => format!("raw {value}"),
    }
}

fn in_words(fault: &Fault) -> String {
    format!("fault: {}: {}", fault.reason, fault.detail)
}

fn csr(request: &Request, out: &mut dyn Write) -> io::Result<()> {
    field("Subject", or_empty(&request.subject), out)?;
    field("Key", &request.key, out)?;
    field("Key SHA-256 (SPKI)", &request.spki_sha256, out)?;
    if let Some(fault) = &request.fault {
        return field("Refused", fault, out);
    }
    let signature = "verifies: its maker has the key, and no more is known";
    field("Self-signature", signature, out)?;
    let wants_ca = match request.wants_ca {
        Some(true) => "yes",
        _ => "no",
    };
    field("Asks to be a CA", wants_ca, out)?;
    let names = request.names.as_deref().unwrap_or_default();
    if names.is_empty() {
        return field("Requested names", "none", out);
    }
    writeln!(out, "  Requested names")?;
    for name in names {
        writeln!(out, "    {}: {}", name.kind, escape(or_empty(&name.value)))?;
    }
    Ok(())
}

fn or_empty(text: &str) -> &str {
    if text.is_empty() { "(empty)" } else { text }
}
