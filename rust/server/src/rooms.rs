//! The order of the rooms (files and folders of this crate): none imports from one above it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The table in CONTRIBUTING.md that declares the order follows this line.
const MARK: &str = "<!-- rooms of rust/server, lowest first -->";

/// Files that belong to no room: the root, which declares all of them, and helpers of tests.
const OUTSIDE: [&str; 3] = ["lib", "rooms", "testing"];

/// The row of each room, counted from the lowest.
fn rows(contributing: &str) -> BTreeMap<String, usize> {
    let (_, table) = contributing.split_once(MARK).unwrap();
    let table = table
        .trim_start()
        .lines()
        .take_while(|line| line.starts_with('|'));
    let rooms = table.skip(2).enumerate().flat_map(|(row, line)| {
        let names = line.split('|').nth(1).unwrap_or_default().split('`');
        // Between backticks.
        names.skip(1).step_by(2).map(move |name| (name.to_owned(), row))
    });
    rooms.collect()
}

/// The room of a path of modules: its longest beginning that is one.
fn room<'r>(rows: &'r BTreeMap<String, usize>, path: &[&str]) -> Option<(&'r str, usize)> {
    let rooms = (1..=path.len()).rev().filter_map(|length| {
        let (name, row) = rows.get_key_value(&path.get(..length)?.join("/"))?;
        Some((name.as_str(), *row))
    });
    rooms.into_iter().next()
}

/// The paths from the crate's root that a file names, outside of comments and of its tests.
fn imports(text: &str, modules: &[&str]) -> Vec<Vec<String>> {
    let code = text.split("mod tests {").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    for (root, rest) in roots(&code, modules) {
        let end = rest.find([';', '{', '(', ')', '<', '>', ',', ' ', '&', '}', '!']);
        let (path, after) = rest.split_at(end.unwrap_or(rest.len()));
        let mut path: Vec<String> = path
            .split("::")
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect();
        path.splice(0..0, root);
        match after.strip_prefix('{') {
            Some(names) => {
                let (names, _) = names.split_once('}').unwrap_or_default();
                let name = |name: &str| name.trim().split("::").next().unwrap_or_default().to_owned();
                let names = names.split(',').map(name).filter(|name| !name.is_empty());
                found.extend(names.map(|name| [path.clone(), vec![name]].concat()));
            }
            None => found.push(path),
        }
    }
    found
}

/// Each `crate::` and each chain of `super::`, as a path from the crate's root, with the text that follows it.
fn roots<'t>(code: &'t str, modules: &[&str]) -> Vec<(Vec<String>, &'t str)> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = [rest.find("crate::"), rest.find("super::")]
        .into_iter()
        .flatten()
        .min()
    {
        let is_begin =
            !rest[..at].ends_with(|before: char| before.is_alphanumeric() || "_:".contains(before));
        rest = &rest[at..];
        let mut depth = modules.len();
        if let Some(after) = rest.strip_prefix("crate::") {
            (rest, depth) = (after, 0);
        }
        while let Some(after) = rest.strip_prefix("super::") {
            (rest, depth) = (after, depth - 1);
        }
        if is_begin {
            let root = modules[..depth].iter().map(|name| (*name).to_owned());
            found.push((root.collect(), rest));
        }
    }
    found
}

/// Every source file under a folder, with the path of its module.
fn files(folder: &Path, modules: &[String], found: &mut Vec<(Vec<String>, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let below = [modules, std::slice::from_ref(&name)].concat();
        if path.is_dir() {
            files(&path, &below, found);
        } else if name == "mod" {
            found.push((modules.to_vec(), fs::read_to_string(&path).unwrap()));
        } else if name != "tests" {
            found.push((below, fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn no_room_imports_from_one_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let contributing = fs::read_to_string(root.join("../../CONTRIBUTING.md")).unwrap();
    let rows = rows(&contributing);
    let mut sources = Vec::new();
    files(&root.join("src"), &[], &mut sources);
    let mut faults = BTreeSet::new();
    let mut met = BTreeSet::new();
    for (modules, text) in &sources {
        let modules: Vec<&str> = modules.iter().map(String::as_str).collect();
        if modules.first().is_some_and(|name| OUTSIDE.contains(name)) {
            continue;
        }
        let Some((own, own_row)) = room(&rows, &modules) else {
            faults.insert(format!("{} is in no room of CONTRIBUTING.md", modules.join("::")));
            continue;
        };
        met.insert(own);
        for path in imports(text, &modules) {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            match room(&rows, &path) {
                Some((other, row)) if other == own || row < own_row => {}
                Some((other, _)) => {
                    faults.insert(format!("{own} imports from {other}, which is not below it"));
                }
                None => {
                    faults.insert(format!(
                        "{own} imports {}, expected a room's name first",
                        path.join("::")
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    let gone: Vec<_> = rows.keys().filter(|room| !met.contains(room.as_str())).collect();
    assert!(gone.is_empty(), "rooms without a file: {gone:?}");
}

#[test]
fn imports_are_read_in_every_form() {
    let text = "
        use crate::gate::{Gate, inline};
        use crate::{flush, upkeep::run};
        use super::super::turn::Turn;
        // crate::comment
        fn f() -> crate::error::StartError { other_crate::x() }
        #[cfg(test)]\nmod tests {\n use crate::testing; }";
    let found = imports(text, &["doors", "grpc", "stream"]);
    let found: Vec<String> = found.iter().map(|path| path.join("::")).collect();
    assert_eq!(
        found,
        [
            "gate::Gate",
            "gate::inline",
            "flush",
            "upkeep",
            "doors::turn::Turn",
            "error::StartError"
        ]
    );
}
