//! The report for people.

use std::io::{self, Write};

use super::{
    extension::APPLE,
    json::{
        AppleRoot, Certificate, Content, Entry, EntryContent, Extension, Fault, Report, Request,
        Validity,
    },
    words::escape,
};

const SUBJECT_ALT_NAME: &str = "2.5.29.17";

/// Writes the report. Whatever stems from the file is escaped.
pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    match &report.content {
        Content::AttestationObject {
            format,
            certificates,
        } => {
            let title = format!("Attestation object, format \"{format}\"");
            chain(&title, certificates, out)
        }
        Content::Certificate { certificates } => {
            heading("Certificate", out)?;
            certificates.iter().try_for_each(|one| entry(one, out))
        }
        Content::Chain { certificates } => chain("Chain", certificates, out),
        Content::Csr { request } => csr(request, out),
    }
}

fn heading(title: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{title}")?;
    writeln!(
        out,
        "NOT VERIFIED: this is what the file says, and anybody can write such a file.\n"
    )
}

fn chain(title: &str, certificates: &[Entry], out: &mut dyn Write) -> io::Result<()> {
    let count = certificates.len();
    let plural = if count == 1 { "" } else { "s" };
    heading(&format!("{title}, {count} certificate{plural}"), out)?;
    for (index, one) in certificates.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        writeln!(out, "Certificate {} of {count}", index + 1)?;
        entry(one, out)?;
    }
    Ok(())
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
    field("Subject", &certificate.subject, out)?;
    field("Issuer", &certificate.issuer, out)?;
    field("Serial number", &certificate.serial_number, out)?;
    field("Not before", &certificate.not_before.to_string(), out)?;
    field("Not after", &certificate.not_after.to_string(), out)?;
    let validity = match certificate.validity {
        Validity::Expired => "no: expired",
        Validity::NotYetValid => "no: not yet",
        Validity::Valid => "yes",
    };
    field("Valid now", validity, out)?;
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
    let suffix = extension.oid.strip_prefix(APPLE).unwrap_or_default();
    let flags = flags(extension);
    let line = match (&extension.name, &extension.fault, &extension.encoding) {
        (Some(name), None, Some(encoding)) => {
            let value = match extension.decoded.as_slice() {
                [] => "blank, which is nothing attested".to_owned(),
                words => words.join(", "),
            };
            format!("{name}: {value} ({suffix} = {encoding}{flags})")
        }
        (name, Some(fault), _) => format!(
            "{}: {} ({suffix}, {}{flags})",
            name.as_deref().unwrap_or("undocumented"),
            in_words(fault),
            raw(extension)
        ),
        _ => format!("undocumented: {} ({suffix}{flags})", raw(extension)),
    };
    writeln!(out, "    {}", escape(&line))
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
    heading("Certification request (CSR)", out)?;
    field("Subject", or_empty(&request.subject), out)?;
    field("Key", &request.key, out)?;
    field("Key SHA-256 (SPKI)", &request.spki_sha256, out)?;
    if let Some(fault) = &request.fault {
        return field("Refused", fault, out);
    }
    let signature = "verifies: whoever made this has the key, and no more is known";
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
