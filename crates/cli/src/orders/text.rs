//! Orders and refusals as people read them.

use std::fmt;

use assay_proto::{
    WireIdentifier,
    admin::{
        AuthorizationStory, CertificateStory, DeviceStory, FailureStory, NoteStory, Refusal, Story,
        Summary,
    },
};

use crate::{output::Text, terminal};

/// The status, and whether the certificate was revoked since.
fn status(order: &Summary) -> String {
    let status = order.status.as_str();
    match order.revoked {
        Some(_) => format!("{status}, revoked"),
        None => status.to_owned(),
    }
}

/// `text` with what could disturb a terminal replaced.
fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

fn identifiers(identifiers: &[WireIdentifier]) -> String {
    identifiers
        .iter()
        // Debug escapes what could disturb a terminal.
        .map(|identifier| format!("{} {:?}", identifier.kind, identifier.value))
        .collect::<Vec<_>>()
        .join(", ")
}

impl fmt::Display for Text<'_, Summary> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = self.0;
        write!(
            f,
            "{}  {}  {:<14}  {}",
            order.created,
            order.id,
            status(order),
            identifiers(&order.identifiers)
        )?;
        match (&order.reason, &order.certificate) {
            (Some(reason), _) => write!(f, "  {reason}")?,
            (None, Some(serial)) => write!(f, "  certificate {serial}")?,
            (None, None) => {}
        }
        match order.not_after {
            Some(not_after) => write!(f, ", ends {not_after}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Text<'_, Story> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let story = self.0;
        let order = &story.order;
        writeln!(f, "order          {}", order.id)?;
        writeln!(f, "status         {}", status(order))?;
        writeln!(f, "account        {}", order.account)?;
        writeln!(f, "identifiers    {}", identifiers(&order.identifiers))?;
        let names = [("directory", &story.directory), ("profile", &story.profile)];
        for (what, name) in names {
            if let Some(name) = name.as_deref().filter(|name| *name != "default") {
                writeln!(f, "{what:<14} {name}")?;
            }
        }
        writeln!(f, "created        {}", order.created)?;
        write!(f, "expires        {}", story.expires)?;
        for authorization in &story.authorizations {
            write!(f, "\n{}", Text(authorization))?;
        }
        let remedy = story.remedy.as_deref();
        match (&story.failure, &order.reason, remedy) {
            (Some(failure), ..) => write_failure(f, failure, remedy)?,
            (None, Some(reason), Some(remedy)) => {
                write!(f, "\n{reason:<14} at {}", story.expires)?;
                write!(f, "\n  what to do   {remedy}")?;
            }
            (None, ..) => {}
        }
        for note in &story.notes {
            write!(f, "\n{}", Text(note))?;
        }
        match &story.issued {
            Some(issued) => write!(f, "\n{}", Text(issued)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Text<'_, AuthorizationStory> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authorization = self.0;
        write!(
            f,
            "authorization  {} {}: {:?} is compared with the attested {}",
            authorization.id,
            authorization.status,
            authorization.identifier.value,
            authorization.compared_with
        )?;
        if let Some(rule) = &authorization.admitted_by {
            write!(f, " (admitted: {rule})")?;
        }
        let Some(evidence) = &authorization.evidence else {
            return Ok(());
        };
        write!(f, "\n  appraised    {}", evidence.at)?;
        write!(
            f,
            "\n  key          {} {}",
            evidence.key, evidence.spki_sha256
        )?;
        write!(f, "\n  root         {}", evidence.root_sha256)?;
        write!(f, "\n  evidence     {}", evidence.evidence_sha256)?;
        let mut facts = evidence.facts.iter();
        facts.try_for_each(|(name, value)| write!(f, "\n  {name:<12} {value:?}"))
    }
}

fn write_failure(
    f: &mut fmt::Formatter<'_>,
    failure: &FailureStory,
    remedy: Option<&str>,
) -> fmt::Result {
    write!(f, "\nrefused        {} at {}", failure.reason, failure.at)?;
    write!(f, "\n  gate         {}", failure.gate)?;
    write!(f, "\n  finding      {}", printable(&failure.detail))?;
    if let Some(remedy) = remedy {
        write!(f, "\n  what to do   {remedy}")?;
    }
    write!(
        f,
        "\n  client saw   {}: {}",
        failure.client.kind.name(),
        failure.client.detail
    )?;
    match &failure.evidence_sha256 {
        Some(hash) => write!(f, "\n  evidence     {hash}"),
        None => Ok(()),
    }
}

impl fmt::Display for Text<'_, NoteStory> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let note = self.0;
        write!(f, "note           {} at {}", note.reason, note.at)?;
        write!(f, "\n  finding      {}", printable(&note.detail))?;
        match &note.remedy {
            Some(remedy) => write!(f, "\n  what to do   {remedy}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Text<'_, CertificateStory> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issued = self.0;
        write!(f, "certificate    {}", issued.serial)?;
        write!(f, "\n  issued       {}", issued.issued)?;
        write!(f, "\n  not after    {}", issued.not_after)?;
        if let Some(revoked) = &issued.revoked {
            write!(f, "\n  revoked      {revoked}")?;
        }
        if let Some(by) = &issued.revoked_by {
            write!(f, " by {by}")?;
        }
        match issued.revocation_reason {
            Some(reason) => write!(f, ", reason {reason}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Text<'_, DeviceStory> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = self.0;
        let plural = if device.total == 1 { "" } else { "s" };
        write!(
            f,
            "device         {:?}: {} order{plural}",
            device.device, device.total
        )?;
        for (index, story) in device.orders.iter().enumerate() {
            let place = match index {
                0 => "the newest",
                _ => "before that",
            };
            write!(f, "\n\n{place}:\n{}", Text(story))?;
        }
        if !device.earlier.is_empty() {
            write!(f, "\n\nearlier:")?;
        }
        for summary in &device.earlier {
            write!(f, "\n{}", Text(summary))?;
        }
        match device.refusals.as_deref() {
            None => write!(
                f,
                "\n\nNo server runs: what was refused without an order is in the log alone (event `refused`)."
            ),
            Some([]) => Ok(()),
            Some(refusals) => {
                write!(f, "\n\nrefused without an order:")?;
                (refusals.iter()).try_for_each(|one| write!(f, "\n{}", Text(one)))
            }
        }
    }
}

impl fmt::Display for Text<'_, Refusal> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refusal = self.0;
        write!(
            f,
            "{}  {}  {} {:?}, account {}, from {}",
            refusal.at,
            refusal.reason,
            refusal.identifier.kind.escape_debug(),
            refusal.identifier.value,
            refusal.account,
            refusal.client.as_deref().unwrap_or("an unknown address")
        )?;
        write!(f, "\n  finding      {}", terminal::escape(&refusal.detail))?;
        match &refusal.remedy {
            Some(remedy) => write!(f, "\n  what to do   {remedy}"),
            None => Ok(()),
        }
    }
}
