//! Compares two sets of facts, except for the known differences.

use std::collections::{BTreeMap, BTreeSet};

/// Returns the facts that ours lacks, the additional facts that ours must not have, and the lines of `differences` that are
/// not differences.
///
/// A line of `differences` is `- ` and a fact that ours lacks, `+ ` and an additional fact of ours, or `#` and a comment. A `*`
/// at the end of a fact stands for any text.
pub fn faults(registry: &str, ours: &str, differences: &str) -> Vec<String> {
    let [registry, ours] = [registry, ours].map(|facts| facts.lines().collect::<BTreeSet<_>>());
    assert!(!registry.is_empty(), "no facts about the registry's tower");
    let mut known: Vec<(&str, bool)> = differences
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| (line, false))
        .collect();
    let missing = registry
        .difference(&ours)
        .filter(|fact| !fact.starts_with("due ") && !fact.starts_with("item "));
    let missing = missing.map(|fact| format!("- {fact}"));
    let added = ours
        .difference(&registry)
        .filter(|fact| is_too_much(fact, &registry));
    let added = added.map(|fact| format!("+ {fact}"));
    let clashes = clashes(&registry, &ours)
        .into_iter()
        .map(|path| format!("+ clash {path}"));
    let mut faults: Vec<_> = missing.chain(added).chain(clashes).collect();
    faults.retain(|fault| {
        let mut is_known = false;
        for (line, used) in &mut known {
            if line
                .strip_suffix('*')
                .map_or(*line == fault, |start| fault.starts_with(start))
            {
                (*used, is_known) = (true, true);
            }
        }
        !is_known
    });
    faults.extend(
        known
            .iter()
            .filter(|(_, used)| !used)
            .map(|(line, _)| format!("no difference: {line}")),
    );
    faults.extend(unprobed(&registry).map(|path| format!("no probe of {path}")));
    faults
}

/// Returns the additional items in modules of 0.5.3 whose name refers to another item elsewhere in 0.5.3: with glob imports of
/// both modules the name would be ambiguous.
fn clashes<'a>(registry: &BTreeSet<&str>, ours: &BTreeSet<&'a str>) -> Vec<&'a str> {
    let (theirs, ours) = (items(registry), items(ours));
    let is_added = |path: &str| !theirs.contains_key(path) && is_module(registry, parent(path));
    let mut clashes: Vec<_> = ours.keys().copied().filter(|path| is_added(path)).collect();
    clashes.retain(|path| {
        let elsewhere = theirs.iter().filter(|(there, _)| name(there) == name(path));
        let meanings: BTreeSet<_> = elsewhere.clone().map(|(_, item)| item).collect();
        // A name with several meanings, such as `error`, cannot be used without its module anyway.
        meanings.len() == 1
            && elsewhere
                .clone()
                .all(|(there, _)| ours.get(there) != ours.get(path))
    });
    clashes
}

/// Returns each path with the shortest path to the same item.
fn items<'a>(facts: &BTreeSet<&'a str>) -> BTreeMap<&'a str, &'a str> {
    let items = facts.iter().filter_map(|fact| fact.strip_prefix("item "));
    items.filter_map(|item| item.split_once(" is ")).collect()
}

fn is_module(facts: &BTreeSet<&str>, path: &str) -> bool {
    path == "tower" || facts.contains(&*format!("path {path} is a module"))
}

fn parent(path: &str) -> &str {
    path.rsplit_once("::").map_or("", |(parent, _)| parent)
}

fn name(path: &str) -> &str {
    path.rsplit_once("::").map_or(path, |(_, name)| name)
}

fn unprobed<'a>(registry: &BTreeSet<&'a str>) -> impl Iterator<Item = &'a str> {
    let due = registry.iter().filter_map(|fact| fact.strip_prefix("due "));
    due.filter(|path| !registry.contains(&*format!("probe {path} is probed")))
}

/// Returns whether the fact is `only PATH has ...`, and the registry's tower has the path.
fn is_too_much(fact: &str, registry: &BTreeSet<&str>) -> bool {
    let path = fact
        .strip_prefix("only ")
        .and_then(|fact| fact.split(' ').next());
    path.is_some_and(|path| {
        let prefix = format!("path {path} is a ");
        registry.iter().any(|fact| fact.starts_with(&prefix))
    })
}

#[cfg(test)]
mod tests {
    use super::faults;

    const REGISTRY: &str =
        "path tower::A is a trait\nonly tower::A has the required method a\nfeature b is there";

    fn faults_of(ours: &str, differences: &str) -> Vec<String> {
        faults(REGISTRY, ours, differences)
    }

    #[test]
    fn a_missing_fact_is_reported_unless_it_is_known() {
        let ours = "path tower::A is a trait\nonly tower::A has the required method a";
        assert_eq!(faults_of(ours, ""), ["- feature b is there"]);
        assert_eq!(faults_of(ours, "# why\n- feature b*\n"), [""; 0]);
    }

    #[test]
    fn an_additional_member_is_reported_only_for_existing_items() {
        let ours = format!(
            "{REGISTRY}\npath tower::B is a trait\nonly tower::B has the required method b"
        );
        assert_eq!(faults_of(&ours, ""), [""; 0]);
        let ours = format!("{REGISTRY}\nonly tower::A has the provided method c");
        assert_eq!(
            faults_of(&ours, ""),
            ["+ only tower::A has the provided method c"]
        );
    }

    #[test]
    fn a_type_without_a_probe_is_reported() {
        let registry = format!("{REGISTRY}\ndue tower::C");
        assert_eq!(faults(&registry, REGISTRY, ""), ["no probe of tower::C"]);
        let probed = "probe tower::C is probed";
        let (registry, ours) = (
            format!("{registry}\n{probed}"),
            format!("{REGISTRY}\n{probed}"),
        );
        assert_eq!(faults(&registry, &ours, ""), [""; 0]);
    }

    #[test]
    fn another_meaning_of_a_name_is_reported() {
        let there =
            "path tower::m is a module\nitem tower::E is tower::E\nitem tower::m is tower::m";
        let registry = format!("{REGISTRY}\n{there}");
        let same = format!("{registry}\nitem tower::m::E is tower::E");
        assert_eq!(faults(&registry, &same, ""), [""; 0]);
        let another = format!("{registry}\nitem tower::m::E is tower::m::E");
        assert_eq!(faults(&registry, &another, ""), ["+ clash tower::m::E"]);
        let elsewhere = format!("{registry}\nitem tower::n::E is tower::n::E");
        assert_eq!(faults(&registry, &elsewhere, ""), [""; 0]);
    }

    #[test]
    fn a_known_difference_that_does_not_exist_is_reported() {
        assert_eq!(
            faults_of(REGISTRY, "- feature b is there"),
            ["no difference: - feature b is there"]
        );
    }
}
