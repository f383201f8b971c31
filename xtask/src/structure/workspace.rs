//! The packages of the workspace as cargo tells of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::command::{Done, cargo, output, workspace};

/// A package of the workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// Its folder, which is its name in DESIGN.md: `supervisor`, `policy-audit`.
    pub folder: String,
    /// Folders of the members it uses when it runs (what only builds or tests it is left out).
    pub uses: BTreeSet<String>,
    /// Names of all packages from outside that it links, and by which package.
    pub links: BTreeMap<String, String>,
    /// The root files of its libraries, programs and tests.
    pub roots: Vec<PathBuf>,
}

/// The members, by folder.
#[derive(Debug, Default)]
pub struct Workspace(pub BTreeMap<String, Member>);

impl Workspace {
    /// Asks cargo.
    ///
    /// # Errors
    /// When cargo fails.
    pub fn read() -> Done<Workspace> {
        let mut command = cargo();
        command.args(["metadata", "--locked", "--format-version", "1"]);
        command.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
        let metadata: Value = serde_json::from_str(&output(&mut command)?)
            .map_err(|e| format!("cargo metadata cannot be read: {e}"))?;
        Ok(Workspace::of(&metadata, &workspace()))
    }

    /// The members of what `cargo metadata` prints.
    pub fn of(metadata: &Value, top: &Path) -> Workspace {
        let packages: BTreeMap<&str, &Value> =
            list(metadata, "packages").iter().map(|p| (text(p, "id"), p)).collect();
        let nodes: BTreeMap<&str, Vec<&str>> = metadata
            .get("resolve")
            .map(|resolve| list(resolve, "nodes"))
            .unwrap_or_default()
            .iter()
            .map(|node| (text(node, "id"), at_run_time(node)))
            .collect();
        let folder = |id: &str| {
            let package = packages.get(id)?;
            let manifest = Path::new(text(package, "manifest_path")).parent()?;
            Some(manifest.strip_prefix(top).ok()?.display().to_string())
        };
        let ids = list(metadata, "workspace_members").iter().filter_map(Value::as_str);
        let members = ids.filter_map(|id| {
            let folder_of_id = folder(id)?;
            let uses = nodes.get(id).into_iter().flatten().filter_map(|used| folder(used));
            Some((
                folder_of_id.clone(),
                Member {
                    folder: folder_of_id,
                    uses: uses.collect(),
                    links: links(id, &nodes, &packages),
                    roots: packages.get(id).map(|package| roots(package)).unwrap_or_default(),
                },
            ))
        });
        Workspace(members.collect())
    }

    /// The root files of all members.
    pub fn roots(&self) -> impl Iterator<Item = PathBuf> {
        self.0.values().flat_map(|member| member.roots.clone())
    }
}

/// The ids that a node uses when it runs.
fn at_run_time(node: &Value) -> Vec<&str> {
    let normal = |dependency: &&Value| {
        list(dependency, "dep_kinds").iter().any(|kind| kind.get("kind").is_none_or(Value::is_null))
    };
    list(node, "deps").iter().filter(normal).map(|d| text(d, "pkg")).collect()
}

/// Everything a package links, with who asks for it.
fn links(
    id: &str,
    nodes: &BTreeMap<&str, Vec<&str>>,
    packages: &BTreeMap<&str, &Value>,
) -> BTreeMap<String, String> {
    let name = |id: &str| packages.get(id).map(|p| text(p, "name").to_owned()).unwrap_or_default();
    let mut all = BTreeMap::new();
    let mut waiting = vec![id];
    while let Some(user) = waiting.pop() {
        for used in nodes.get(user).into_iter().flatten() {
            // What a procedural macro links runs in the compiler.
            let compiles = packages.get(used).is_some_and(|package| is_macro(package));
            if !compiles && !all.contains_key(&name(used)) {
                all.insert(name(used), name(user));
                waiting.push(used);
            }
        }
    }
    all
}

fn is_macro(package: &Value) -> bool {
    let kinds = list(package, "targets").iter().flat_map(|target| list(target, "kind"));
    kinds.filter_map(Value::as_str).any(|kind| kind == "proc-macro")
}

fn roots(package: &Value) -> Vec<PathBuf> {
    let of_ours = |target: &&Value| {
        list(target, "kind").iter().any(|kind| kind.as_str() != Some("custom-build"))
    };
    let targets = list(package, "targets").iter().filter(of_ours);
    targets.map(|target| PathBuf::from(text(target, "src_path"))).collect()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_only_builds_or_tests_a_package_is_no_arrow() {
        let package = |id: &str, kind: &str| {
            json!({ "id": id, "name": id, "manifest_path": format!("/w/{id}/Cargo.toml"),
                    "targets": [{ "kind": [kind], "src_path": format!("/w/{id}/src/lib.rs") }] })
        };
        let dependency =
            |id: &str, kind: Value| json!({ "pkg": id, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [package("a", "lib"), package("b", "lib"), package("c", "lib"),
                         package("m", "proc-macro"), package("x", "lib")],
            "workspace_members": ["a", "b", "c"],
            "resolve": { "nodes": [
                { "id": "a", "deps": [dependency("b", Value::Null), dependency("c", json!("dev")),
                                      dependency("m", Value::Null)] },
                { "id": "b", "deps": [dependency("x", Value::Null), dependency("c", json!("build"))] },
                { "id": "m", "deps": [dependency("c", Value::Null)] },
            ]},
        });
        let all = Workspace::of(&metadata, Path::new("/w"));
        let a = &all.0["a"];
        assert_eq!(Vec::from_iter(&a.uses), ["b", "m"]);
        assert_eq!(a.links.get("x").map(String::as_str), Some("b"));
        assert!(!a.links.contains_key("c"), "{:?}", a.links);
        assert_eq!(a.roots, [PathBuf::from("/w/a/src/lib.rs")]);
    }
}
