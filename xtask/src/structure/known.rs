//! The list of known faults of structure, `xtask/structure.known`: it may only become shorter. A line is
//! a rule and the place it is broken at. A fault that is not listed fails the check, and so does a line
//! whose fault is gone.

use std::collections::BTreeMap;

use super::Fault;

/// What the check says in the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// A line for each fault that is not listed, with how to mend it.
    pub new: Vec<String>,
    /// A line for each entry whose fault is gone.
    pub gone: Vec<String>,
    /// How many listed faults there are.
    pub known: usize,
}

/// The entries of the list with their line numbers.
fn entries(list: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = list.lines().zip(1..).map(|(line, number)| (number, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// Holds the faults against the list.
pub fn judge(faults: &[Fault], list: &str) -> Verdict {
    let mut listed: BTreeMap<&str, (usize, bool)> =
        entries(list).map(|(number, entry)| (entry, (number, false))).collect();
    let mut verdict = Verdict::default();
    for fault in faults {
        match listed.get_mut(fault.entry().as_str()) {
            Some((_, found)) => {
                verdict.known += usize::from(!*found);
                *found = true;
            }
            None => verdict.new.push(format!("{}: {}", fault.entry(), fault.message)),
        }
    }
    for (entry, (number, found)) in listed {
        if !found {
            verdict.gone.push(format!(
                "`{entry}` is mended: take line {number} out of xtask/structure.known"
            ));
        }
    }
    verdict
}

/// The list anew, with the comments of the old one on top, for code that has moved.
///
/// # Errors
/// Names the rule that has more faults than entries: the list may only become shorter.
pub fn renewed(faults: &[Fault], list: &str) -> Result<String, String> {
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut now: Vec<String> = faults.iter().map(Fault::entry).collect();
    now.sort();
    now.dedup();
    let rule = |entry: &str| entry.split(' ').next().unwrap_or_default().to_owned();
    for entry in &now {
        counts.entry(rule(entry)).or_default().0 += 1;
    }
    for (_, entry) in entries(list) {
        counts.entry(rule(entry)).or_default().1 += 1;
    }
    for (rule, (faults, listed)) in &counts {
        if faults > listed {
            return Err(format!(
                "rule `{rule}`: {faults} faults, and {listed} are known: mend the new ones first"
            ));
        }
    }
    let head: Vec<&str> = list.lines().take_while(|line| line.starts_with('#')).collect();
    Ok(format!("{}\n\n{}\n", head.join("\n"), now.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::{super::Rule, *};

    fn fault(place: &str) -> Fault {
        Fault { rule: Rule::Function, place: place.into(), message: "why".into() }
    }

    #[test]
    fn a_fault_that_is_not_listed_and_an_entry_without_a_fault_both_fail() {
        let list = "# head\n\nfunction a.rs one\nfunction b.rs two\n";
        let verdict = judge(&[fault("a.rs one"), fault("c.rs three")], list);
        assert_eq!(verdict.known, 1);
        assert_eq!(verdict.new, ["function c.rs three: why"]);
        assert_eq!(verdict.gone.len(), 1);
        assert!(
            verdict.gone[0].contains("`function b.rs two`") && verdict.gone[0].contains("line 4")
        );
    }

    #[test]
    fn a_renewed_list_has_moved_faults_and_never_more() {
        let list = "# head\n\nfunction a.rs one\nfunction b.rs two\n";
        let moved = renewed(&[fault("z.rs one")], list).unwrap();
        assert_eq!(moved, "# head\n\nfunction z.rs one\n");
        let more = [fault("a.rs one"), fault("b.rs two"), fault("c.rs three")];
        assert!(renewed(&more, list).unwrap_err().contains("3 faults"));
    }
}
