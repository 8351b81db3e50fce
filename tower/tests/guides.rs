//! Examples in the facade's documentation compile as pasted: they import `tower` and the crates that their page names, not the
//! crates behind the facade.

use std::fs;
use std::path::{Path, PathBuf};

/// The crates that every example may import. A page may name more.
const KNOWN: [&str; 3] = ["std", "tokio", "tower"];
const NAMED: [(&str, &[&str]); 6] = [
    ("axum.md", &["axum"]),
    ("gateway.md", &["axum"]),
    ("grpc.md", &["http"]),
    ("observing.md", &["http"]),
    ("testing.md", &["tower_test"]),
    (
        "tonic.md",
        &["http", "tokio_stream", "tonic", "tonic_health"],
    ),
];

#[test]
fn examples_import_only_known_crates() {
    let mut files = vec![Path::new("README.md").to_path_buf()];
    collect(Path::new("src"), &mut files);
    let mut imports = 0;
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let named = NAMED.iter().find(|(page, _)| *page == name);
        let named = named.map_or(&[][..], |(_, crates)| crates);
        let text = fs::read_to_string(&file).unwrap();
        for line in example_lines(name, &text) {
            let Some(path) = line.strip_prefix("use ") else {
                continue;
            };
            let root = path.split([':', ';']).next().unwrap();
            assert!(
                KNOWN.contains(&root) || named.contains(&root),
                "{}: {line}",
                file.display()
            );
            imports += 1;
        }
    }
    assert!(imports > 100, "too few imports found");
}

#[test]
fn each_page_of_the_guide_is_in_its_table() {
    let index = fs::read_to_string("src/guide.rs").unwrap();
    let links = fs::read_to_string("src/guide/links.md").unwrap();
    for declaration in index.split("\npub mod ").skip(1) {
        let page = declaration.split(' ').next().unwrap();
        assert!(index.contains(&format!("[`{page}`]")), "{page}");
        assert!(links.contains(&format!("(guide::{page})")), "{page}");
    }
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// Returns the lines of examples: in the code blocks of a page, or in the doc comments of a source file.
fn example_lines<'a>(name: &str, text: &'a str) -> Vec<&'a str> {
    let is_page = name.ends_with(".md");
    let documentation = text.lines().filter_map(move |line| {
        let line = line.trim_start();
        if is_page {
            return Some(line);
        }
        let comment = line
            .strip_prefix("///")
            .or_else(|| line.strip_prefix("//!"))?;
        Some(comment.trim_start())
    });
    let mut inside = false;
    let mut lines = Vec::new();
    for line in documentation {
        if line.starts_with("```") {
            inside = !inside;
        } else if inside {
            lines.push(line.trim_start_matches("# ").trim_start());
        }
    }
    lines
}
