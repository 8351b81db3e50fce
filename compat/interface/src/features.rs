//! The cargo features of `tower`: whether each exists, and which features of other crates it enables. Other crates may rely on
//! these without enabling them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Returns the facts about the crate at `manifest` with each feature of the `tower` that the crate at `registry` depends on.
pub fn facts(registry: &Path, manifest: &Path) -> BTreeSet<String> {
    names(registry)
        .iter()
        .flat_map(|feature| of(manifest, feature))
        .collect()
}

fn names(manifest: &Path) -> Vec<String> {
    let metadata =
        cargo(manifest, &["metadata", "--format-version", "1"]).expect("the crate is there");
    let metadata: Value = serde_json::from_str(&metadata).expect("cargo writes JSON");
    let mut packages = metadata["packages"].as_array().into_iter().flatten();
    let tower = packages
        .find(|package| package["name"] == "tower")
        .expect("it depends on tower");
    tower["features"]
        .as_object()
        .expect("a map")
        .keys()
        .cloned()
        .collect()
}

fn of(manifest: &Path, feature: &str) -> BTreeSet<String> {
    let with = format!("tower/{feature}");
    let what = [
        "tree",
        "-e",
        "normal",
        "--prefix",
        "none",
        "-f",
        "{lib} {f}",
        "--no-default-features",
        "--features",
        &with,
    ];
    let tree = match cargo(manifest, &what) {
        Ok(tree) => tree,
        Err(refused) if refused.contains(feature) => return BTreeSet::new(),
        Err(error) => panic!("cargo tree failed: {error}"),
    };
    let mut facts = BTreeSet::from([format!("feature {feature} is there")]);
    for line in tree.lines().map(|line| line.trim_end_matches(" (*)")) {
        let (name, features) = line.split_once(' ').expect("a name and features");
        if !name.starts_with("tower") {
            let features = features.split(',').filter(|feature| !feature.is_empty());
            facts.extend(features.map(|with| format!("feature {feature} brings {name}/{with}")));
        }
    }
    facts
}

fn cargo(manifest: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("-q")
        .arg("--manifest-path")
        .arg(manifest)
        .output();
    let output = output.expect("cargo can be run");
    let text = if output.status.success() {
        &output.stdout
    } else {
        &output.stderr
    };
    let text = String::from_utf8_lossy(text).into_owned();
    if output.status.success() {
        Ok(text)
    } else {
        Err(text)
    }
}
