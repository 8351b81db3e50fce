//! The members of types and traits: methods, variants, fields, and implemented traits.
//!
//! Facts that begin with `only` are about items that must not have additional members: an additional method of a trait makes a
//! method of the same name in a user's trait ambiguous, and an additional variant makes a `match` incomplete.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::rustdoc::{Crates, Item, Target};

pub fn of_trait(item: Item<'_>, inner: &Value, path: &str, facts: &mut BTreeSet<String>) {
    for member in item.members(&inner["items"]) {
        let (kind, inner) = member.inner();
        let name = member.name();
        if kind == "function" {
            // An associated function without `self` is not found by `value.name()`.
            let what = if takes_self(inner) {
                "method"
            } else {
                "function"
            };
            let how = if inner["has_body"] == true {
                "provided"
            } else {
                "required"
            };
            facts.insert(format!("only {path} has the {how} {what} {name}"));
            facts.insert(signature(&format!("{path}::{name}"), inner));
        } else {
            facts.insert(format!("only {path} has the {kind} {name}"));
        }
    }
    facts.insert(format!(
        "path {path} can be a dyn: {}",
        inner["is_dyn_compatible"]
    ));
}

pub fn of_type(
    crates: &Crates,
    item: Item<'_>,
    inner: &Value,
    path: &str,
    facts: &mut BTreeSet<String>,
) {
    let closed = if is_open(item) { "path" } else { "only" };
    for variant in item.members(&inner["variants"]) {
        facts.insert(format!(
            "{closed} {path} has the variant {}",
            variant.name()
        ));
    }
    for field in item.members(&inner["kind"]["plain"]["fields"]) {
        facts.insert(format!("{closed} {path} has the field {}", field.name()));
    }
    for implementation in item.members(&inner["impls"]) {
        let (_, inner) = implementation.inner();
        if inner["is_synthetic"] == true || !inner["blanket_impl"].is_null() {
            continue;
        }
        if let Some(id) = inner["trait"].get("id") {
            let name = match crates.target(implementation, id) {
                Target::Item(item) => item.name().to_owned(),
                Target::Elsewhere(path) => path,
            };
            let name = name.rsplit("::").next().unwrap_or_default();
            facts.insert(format!("path {path} implements {name}"));
            continue;
        }
        for member in implementation.members(&inner["items"]) {
            let path = format!("{path}::{}", member.name());
            match member.inner() {
                ("function", inner) => facts.insert(signature(&path, inner)),
                (kind, _) => facts.insert(format!("path {path} is a {kind}")),
            };
        }
    }
}

/// Returns the number of arguments of a function, and the number of types between `::<` and `>`.
pub fn signature(path: &str, inner: &Value) -> String {
    let inputs = inner["sig"]["inputs"].as_array().map_or(0, Vec::len);
    let (_, types) = type_parameters(&inner["generics"]);
    let unsafety = if inner["header"]["is_unsafe"] == true {
        "unsafe "
    } else {
        ""
    };
    format!("path {path} is an {unsafety}fn of {inputs} arguments and {types} types")
}

fn takes_self(inner: &Value) -> bool {
    inner["sig"]["inputs"][0][0] == "self"
}

/// Returns the number of type parameters without a default, and of all.
pub fn type_parameters(generics: &Value) -> (usize, usize) {
    let types = generics["params"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|param| param["kind"].get("type"));
    let types = types.filter(|written| written["is_synthetic"] == false);
    types.fold((0, 0), |(required, all), param| {
        (required + usize::from(param["default"].is_null()), all + 1)
    })
}

/// Returns whether an enum or a struct may have additional variants or fields.
fn is_open(item: Item<'_>) -> bool {
    let attributes = item.json["attrs"].as_array().into_iter().flatten();
    attributes
        .map(Value::to_string)
        .any(|attribute| attribute.contains("non_exhaustive"))
}
