//! What a name that does not exist was meant to be.

/// How much two names must have in common (Jaro-Winkler, from 0 to 1) to take
/// one for the other.
const ALIKE: f64 = 0.8;

/// The error for an unknown name of this kind, with the nearest known name.
pub fn suggest(kind: &str, name: &str, known: impl Iterator<Item = &'static str>) -> String {
    let nearest = known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    match nearest {
        Some((_, known)) => format!("there is no {kind} {name:?}; do you mean {known}?"),
        None => format!("there is no {kind} {name:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_no_far_one() {
        let suggested = |name| suggest("fault", name, ["sip-disabled", "sip-as-text"].into_iter());
        assert_eq!(
            suggested("sip-disable"),
            "there is no fault \"sip-disable\"; do you mean sip-disabled?"
        );
        assert_eq!(suggested("zzz"), "there is no fault \"zzz\"");
    }
}
