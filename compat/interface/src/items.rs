//! Every public path of `tower`, and its item.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use serde_json::Value;

use crate::members;
use crate::rustdoc::{Crates, Item, Target};

/// Returns the facts about all items; see [`members`] for those about members. In addition, `item PATH is PATH` gives the
/// shortest path to an item, and `due PATH` means that the type needs a probe.
pub fn facts(directory: &Path) -> BTreeSet<String> {
    let crates = Crates::read(directory);
    let mut walk = Walk {
        crates: &crates,
        facts: BTreeSet::new(),
        paths: HashMap::new(),
    };
    walk.module(crates.root("tower").expect("tower is documented"), "tower");
    for (kind, paths) in walk.paths.values() {
        let shortest = paths.iter().min_by_key(|path| (path.len(), *path));
        let shortest = shortest.expect("there is one");
        walk.facts.extend(
            paths
                .iter()
                .map(|path| format!("item {path} is {shortest}")),
        );
        if matches!(*kind, "struct" | "enum" | "union") {
            walk.facts.insert(format!("due {shortest}"));
        }
    }
    walk.facts
}

struct Walk<'a> {
    crates: &'a Crates,
    facts: BTreeSet<String>,
    /// The kind of each item, and all of its paths.
    paths: HashMap<*const Value, (&'a str, Vec<String>)>,
}

impl<'a> Walk<'a> {
    fn module(&mut self, module: Item<'a>, path: &str) {
        for child in module.members(&module.inner().1["items"]) {
            let (kind, used) = child.inner();
            if kind != "use" {
                self.item(child, &format!("{path}::{}", child.name()));
                continue;
            }
            assert_eq!(
                used["is_glob"], false,
                "{path} shows all that is in {}",
                used["source"]
            );
            let path = format!("{path}::{}", used["name"].as_str().expect("a name"));
            match self.crates.target(child, &used["id"]) {
                Target::Item(target) => self.item(target, &path),
                Target::Elsewhere(source) => {
                    self.facts.extend([format!("path {path} is {source}")])
                }
            }
        }
    }

    fn item(&mut self, item: Item<'a>, path: &str) {
        let (kind, inner) = item.inner();
        self.facts.insert(format!("path {path} is a {kind}"));
        let (_, paths) = self.paths.entry(item.json).or_insert((kind, Vec::new()));
        paths.push(path.to_owned());
        match kind {
            "module" => self.module(item, path),
            "trait" => members::of_trait(item, inner, path, &mut self.facts),
            "struct" | "enum" | "union" => {
                members::of_type(self.crates, item, inner, path, &mut self.facts)
            }
            "function" => self.facts.extend([members::signature(path, inner)]),
            _ => (),
        }
        if let Some(generics) = inner.get("generics").filter(|_| kind != "function") {
            // With default parameters there are several ways to write the type.
            let (required, all) = members::type_parameters(generics);
            self.facts
                .extend((required..=all).map(|n| format!("path {path} takes {n} types")));
        }
    }
}
