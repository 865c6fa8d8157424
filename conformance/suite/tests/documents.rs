//! Every promise stands where its requirement points to.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ntm_conformance::wire::CHECKS;
use ntm_conformance::{Kind, Requirement, capabilities, contract};

fn document(file: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// What follows a heading, by the anchor that a link has for it: in small letters,
/// without punctuation, blanks as `-`.
fn section(text: &str, anchor: &str) -> Option<String> {
    let level = |line: &str| line.chars().take_while(|c| *c == '#').count();
    let mut lines = text.lines().skip_while(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_';
        let own: String = title.chars().filter(kept).collect();
        level(line) == 0 || own.replace(' ', "-") != anchor
    });
    let own = level(lines.next()?);
    let rest = lines.take_while(|line| !(1..=own).contains(&level(line)));
    Some(rest.collect::<Vec<_>>().join("\n"))
}

/// Of plugins, and of nodes over the wire.
fn requirements() -> impl Iterator<Item = Requirement> {
    let of_plugins = contract::all().map(|check| check.requirement);
    of_plugins.chain(CHECKS.iter().map(|check| check.requirement))
}

#[test]
fn every_identifier_stands_where_it_points_to() {
    for requirement in requirements() {
        let id = requirement.id;
        let (file, anchor) = requirement.section.split_once('#').unwrap();
        let section = section(&document(file), anchor);
        let section = section.unwrap_or_else(|| panic!("{id}: no {anchor} in {file}"));
        let words: BTreeSet<_> =
            section.split(|c: char| !c.is_alphanumeric() && c != '-').collect();
        assert!(words.contains(id), "{id} stands not in {}", requirement.section);
    }
}

#[test]
fn every_promise_that_is_written_down_is_tried() {
    let tried: BTreeSet<_> = contract::all().map(|check| check.id()).collect();
    let promises = document("docs/plugins/PROMISES.md");
    let rows = promises.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next());
    for id in rows.filter(|cell| cell.contains('-') && !cell.starts_with('-')) {
        assert!(tried.contains(id), "{id} is promised and not tried");
    }
}

#[test]
fn identifiers_are_unique_and_what_checks_need_can_be_claimed() {
    let mut seen = BTreeSet::new();
    let known: Vec<_> = capabilities().collect();
    for requirement in requirements() {
        assert!(seen.insert(requirement.id), "{} twice", requirement.id);
    }
    for check in contract::all() {
        let requirement = check.requirement;
        assert!(!requirement.kinds.is_empty() && !requirement.why.is_empty());
        for need in check.needs {
            let can = |kind: &Kind| known.iter().any(|it| it.name == *need && it.kind == *kind);
            assert!(requirement.kinds.iter().all(can), "{} needs {need}", check.id());
        }
    }
}

#[test]
fn every_capability_is_explained() {
    let text = document("docs/plugins/CONFORMANCE.md");
    let mut kind = String::new();
    let mut rows = BTreeSet::new();
    for line in text.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, of, name, what, _] = cells[..] else { continue };
        if !of.is_empty() {
            kind = of.to_owned();
        }
        rows.insert((kind.clone(), name.trim_matches('`').to_owned(), what.to_owned()));
    }
    for it in capabilities() {
        let row = (it.kind.to_string(), it.name.to_owned(), it.what.to_owned());
        assert!(rows.contains(&row), "no row {row:?}");
    }
}
