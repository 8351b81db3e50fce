//! Rustdoc's JSON: one file per crate, whose items refer to each other by number.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

/// An item, and the crate whose file contains it.
#[derive(Clone, Copy)]
pub struct Item<'a> {
    pub krate: &'a Value,
    pub json: &'a Value,
}

/// The target of a number.
pub enum Target<'a> {
    Item(Item<'a>),
    /// An item of a crate without a file, such as `tower_layer::Layer`.
    Elsewhere(String),
}

impl<'a> Item<'a> {
    /// Returns the kind (`module`, `struct`, `function` and so on), and the description.
    pub fn inner(self) -> (&'a str, &'a Value) {
        let (kind, inner) = self.json["inner"]
            .as_object()
            .and_then(|inner| inner.iter().next())
            .expect("one inner");
        (kind, inner)
    }

    pub fn name(self) -> &'a str {
        self.json["name"].as_str().unwrap_or_default()
    }

    /// Returns the items of these numbers that the file contains, which are the public ones.
    pub fn members(self, ids: &'a Value) -> impl Iterator<Item = Self> {
        let ids = ids.as_array().into_iter().flatten();
        ids.filter_map(move |id| {
            Some(Self {
                json: self.krate["index"].get(id.to_string())?,
                ..self
            })
        })
    }
}

pub struct Crates(HashMap<String, Value>);

impl Crates {
    pub fn read(directory: &Path) -> Self {
        let files =
            std::fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
        let files = files.map(|file| file.expect("a file").path());
        let crates = files
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "json")
            })
            .map(|path| {
                let json = std::fs::read_to_string(&path).expect("JSON is text");
                let name = path
                    .file_stem()
                    .expect("has an extension")
                    .to_string_lossy()
                    .into_owned();
                (
                    name,
                    serde_json::from_str(&json).expect("rustdoc writes JSON"),
                )
            });
        Self(crates.collect())
    }

    pub fn root(&self, name: &str) -> Option<Item<'_>> {
        let krate = self.0.get(name)?;
        Some(Item {
            krate,
            json: krate["index"].get(krate["root"].to_string())?,
        })
    }

    /// Returns the target of the number `id` in the file of `item`.
    pub fn target<'a>(&'a self, item: Item<'a>, id: &Value) -> Target<'a> {
        if let Some(json) = item.krate["index"].get(id.to_string()) {
            return Target::Item(Item { json, ..item });
        }
        let path = &item.krate["paths"][id.to_string()]["path"];
        let found = self
            .0
            .get(path[0].as_str().expect("a path begins with its crate"))
            .and_then(|krate| {
                let paths = krate["paths"].as_object()?;
                let (id, _) = paths
                    .iter()
                    .find(|(_, there)| there["crate_id"] == 0 && there["path"] == *path)?;
                Some(Item {
                    krate,
                    json: krate["index"].get(id)?,
                })
            });
        found.map_or_else(|| Target::Elsewhere(joined(path)), Target::Item)
    }
}

fn joined(path: &Value) -> String {
    let names = path
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    names.collect::<Vec<_>>().join("::")
}
