//! PEM, as files and terminals have it.

use super::{Content, FormError, Layer, Looked, MAX_CERTIFICATES, Search, encoding::base64};

/// What a section begins with.
pub(super) const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

impl Search {
    /// Text around the sections and sections of other kinds are skipped, as files
    /// of certificates often have them. All certificates are one list.
    pub(super) fn pem(&mut self, text: &str) -> Looked {
        let mut certificates = Vec::new();
        let mut others = Vec::new();
        for section in sections(text)? {
            match section.label {
                "CERTIFICATE" | "X509 CERTIFICATE" if certificates.len() <= MAX_CERTIFICATES => {
                    certificates.push(section.bytes()?);
                }
                "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" | "PKCS7" | "CMS" => {
                    others.push(section);
                }
                _ => {}
            }
        }
        if certificates.is_empty() && others.is_empty() {
            return Err(FormError::NoEvidence {
                form: "PEM",
                lacks: "it holds neither a CERTIFICATE nor a CERTIFICATE REQUEST nor PKCS7",
            });
        }
        self.within(Layer::Pem, |search| {
            if !certificates.is_empty() {
                search.certificates(certificates)?;
            }
            for section in others {
                let bytes = section.bytes()?;
                if matches!(section.label, "PKCS7" | "CMS") {
                    search.pkcs7(&bytes)?;
                } else {
                    search.found(Content::Csr(bytes), Vec::new());
                }
            }
            Ok(true)
        })
    }
}

/// A section: what it holds, and its base64.
struct Section<'t> {
    label: &'t str,
    body: &'t str,
    line: usize,
}

/// The sections in their order.
fn sections(text: &str) -> Result<Vec<Section<'_>>, FormError> {
    let mut sections = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(at) = rest.find(BEGIN) {
        line += rest[..at].matches('\n').count();
        let broken = |fault: &str| FormError::Broken {
            form: "PEM",
            fault: format!("the section that begins in line {line} {fault}"),
        };
        let section = &rest[at + BEGIN.len()..];
        let (label, section) = section
            .split_once(DASHES)
            .filter(|(label, _)| label.len() <= 64 && !label.contains('\n'))
            .ok_or_else(|| broken("has no label"))?;
        let end = section.find(END).ok_or_else(|| broken("does not end"))?;
        let (body, after) = section.split_at(end);
        if body.contains(BEGIN) {
            return Err(broken("does not end before the next one begins"));
        }
        sections.push(Section { label, body, line });
        line += body.matches('\n').count();
        rest = &after[END.len()..];
    }
    Ok(sections)
}

impl Section<'_> {
    /// The bytes. Line ends may be written as `\n`, as logs and JSON have them.
    fn bytes(&self) -> Result<Vec<u8>, FormError> {
        let body = self.body.replace("\\n", "\n").replace("\\r", "\n");
        // RFC 1421 section 4.6.1.1: headers, and an empty line behind them.
        let body: String = (body.lines())
            .filter(|line| !line.contains(": "))
            .flat_map(str::split_ascii_whitespace)
            .collect();
        base64(&body).ok_or_else(|| FormError::Broken {
            form: "PEM",
            fault: format!(
                "the base64 of the {} that begins in line {} is invalid",
                self.label, self.line
            ),
        })
    }
}
