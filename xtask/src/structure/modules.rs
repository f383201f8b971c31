//! Which module of a crate names which other one, from `use` declarations and paths: enough to see a
//! circle. What a method call reaches is not in it.
//!
//! A path leads to the file that declares its item: re-exports are followed, and an import of a module
//! is no arrow until something in it is named. `mod x;` is no arrow either, and none is what a module
//! uses of the one it is declared in: it stands in its parent's room, and Rust shows it what is private
//! there. The parent's use of its children counts, so a circle through two rooms is seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::tokens::{Kind, Token, behind_block, tokens, without_tests};

/// A module's path in its crate; the crate's root has none.
type ModulePath = Vec<String>;

/// How many re-exports a path is followed through.
const MAX_STEPS: usize = 16;

/// A path that a file names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    /// The file it leads to.
    pub to: PathBuf,
    /// The path as it is written, the first of them.
    pub path: String,
    /// Its line.
    pub line: usize,
}

/// Arrows by the file they come from.
pub type Arrows = BTreeMap<PathBuf, BTreeMap<PathBuf, Arrow>>;

#[derive(Debug, Default)]
struct Module {
    file: PathBuf,
    /// Names that `use` brings in, and the path each stands for.
    imports: BTreeMap<String, Vec<String>>,
    /// Modules whose names `use …::*` brings in.
    globs: Vec<Vec<String>>,
    /// Items declared in it.
    items: BTreeSet<String>,
    /// Paths named in it.
    named: Vec<(Vec<String>, usize)>,
}

/// The modules of a crate.
#[derive(Debug, Default)]
struct Crate {
    modules: BTreeMap<ModulePath, Module>,
}

/// The arrows between the files of the crate whose root is `root` (`src/lib.rs`, `src/main.rs`).
/// `read` gives a file's text.
///
/// # Errors
/// Names the file that cannot be read.
pub fn arrows(
    root: &Path,
    read: &dyn Fn(&Path) -> Result<String, String>,
) -> Result<Arrows, String> {
    let mut whole = Crate::default();
    whole.read_file(root, Vec::new(), read)?;
    Ok(whole.arrows())
}

/// The files that lie on a circle, in groups.
pub fn circles(arrows: &Arrows) -> Vec<Vec<PathBuf>> {
    let reach: BTreeMap<&Path, BTreeSet<&Path>> =
        arrows.keys().map(|from| (from.as_path(), reachable(arrows, from))).collect();
    let meets = |one: &Path, other: &Path| reach.get(one).is_some_and(|all| all.contains(other));
    let mut groups: Vec<Vec<PathBuf>> = Vec::new();
    for file in arrows.keys().filter(|file| meets(file, file)) {
        let group = groups.iter_mut().find(|group| {
            group.first().is_some_and(|other| meets(file, other) && meets(other, file))
        });
        match group {
            Some(group) => group.push(file.clone()),
            None => groups.push(vec![file.clone()]),
        }
    }
    groups
}

fn reachable<'a>(arrows: &'a Arrows, from: &Path) -> BTreeSet<&'a Path> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(file) = waiting.pop() {
        for to in arrows.get(file).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(to.as_path()) {
                waiting.push(to);
            }
        }
    }
    reached
}

impl Crate {
    fn read_file(
        &mut self,
        file: &Path,
        path: ModulePath,
        read: &dyn Fn(&Path) -> Result<String, String>,
    ) -> Result<(), String> {
        let source = read(file)?;
        let all = without_tests(&tokens(&source));
        // Where `mod x;` looks: beside a root or mod.rs, otherwise in a folder of the file's name.
        let is_root = ["lib.rs", "main.rs", "mod.rs"].iter().any(|name| file.ends_with(name));
        let folder = if is_root || path.is_empty() {
            file.parent().unwrap_or(file).to_owned()
        } else {
            file.with_extension("")
        };
        let children = self.read_block(file, &path, &all);
        for (child, own_path) in children {
            let name = child.last().cloned().unwrap_or_default();
            let inner = child.iter().skip(path.len()).rev().skip(1).rev();
            let beside = inner.fold(folder.clone(), |folder, part| folder.join(part));
            let place = match own_path {
                Some(own) => file.parent().unwrap_or(file).join(own),
                None => {
                    let plain = beside.join(format!("{name}.rs"));
                    if read(&plain).is_ok() { plain } else { beside.join(&name).join("mod.rs") }
                }
            };
            self.read_file(&place, child, read)?;
        }
        Ok(())
    }

    /// Reads a module's tokens, inline modules included, and returns its `mod x;` with what a
    /// `#[path]` says.
    fn read_block(
        &mut self,
        file: &Path,
        path: &ModulePath,
        all: &[Token<'_>],
    ) -> Vec<(ModulePath, Option<String>)> {
        let mut children = Vec::new();
        let mut module = Module { file: file.to_owned(), ..Module::default() };
        let mut at = 0;
        let mut own_path = None;
        while let Some(token) = all.get(at) {
            let next = all.get(at + 1);
            match (token.kind, token.text) {
                (Kind::Mark, "#") => own_path = own_path.or(path_attribute(all, at)),
                (Kind::Word, "mod") if next.is_some_and(|n| n.kind == Kind::Word) => {
                    let mut child = path.clone();
                    child.extend(next.map(|name| name.text.to_owned()));
                    match all.get(at + 2).map(|mark| mark.text) {
                        Some(";") => children.push((child, own_path.take())),
                        Some("{") => {
                            let end = behind_block(all, at + 2);
                            let inside = all.get(at + 3..end.saturating_sub(1)).unwrap_or_default();
                            children.extend(self.read_block(file, &child, inside));
                            at = end;
                            continue;
                        }
                        _ => {}
                    }
                }
                (Kind::Word, "use") if !is_capture(all, at) => {
                    let end = all.iter().skip(at).position(|token| token.text == ";");
                    let end = end.map_or(all.len(), |end| at + end);
                    read_use(&all[at + 1..end], &mut Vec::new(), &mut module);
                    at = end;
                    continue;
                }
                (
                    Kind::Word,
                    "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union",
                ) => module.items.extend(next.map(|name| name.text.to_owned())),
                (Kind::Word, _) if begins_path(all, at) => {
                    let (named, end) = whole_path(all, at);
                    module.named.push((named, token.line));
                    at = end;
                    continue;
                }
                (Kind::Mark, ";" | "}") => own_path = None,
                _ => {}
            }
            at += 1;
        }
        self.modules.insert(path.clone(), module);
        children
    }

    fn arrows(&self) -> Arrows {
        let mut all = Arrows::new();
        for (path, module) in &self.modules {
            let from = all.entry(module.file.clone()).or_default();
            for (named, line) in &module.named {
                let Some((to, item)) = self.resolve(path, named, 0) else { continue };
                let file = &self.modules[&to].file;
                if *file == module.file || item.is_none() || path.starts_with(&to) {
                    continue;
                }
                from.entry(file.clone()).or_insert_with(|| Arrow {
                    to: file.clone(),
                    path: named.join("::"),
                    line: *line,
                });
            }
        }
        all
    }

    /// The module that a path named in `at` leads to, and the item of it, if the path is longer. None
    /// for paths that lead out of the crate.
    fn resolve(
        &self,
        at: &ModulePath,
        named: &[String],
        steps: usize,
    ) -> Option<(ModulePath, Option<String>)> {
        if steps > MAX_STEPS {
            return None;
        }
        let (first, rest) = named.split_first()?;
        let module = match first.as_str() {
            "crate" => Vec::new(),
            "self" => at.clone(),
            "super" => parent(at)?,
            _ => {
                let mut child = at.clone();
                child.push(first.clone());
                if !self.modules.contains_key(&child) {
                    let import = self.modules.get(at)?.imports.get(first)?;
                    // `use x;` for a crate x names itself.
                    if import.first() == Some(first) && import.len() == 1 {
                        return None;
                    }
                    let longer: Vec<String> = import.iter().chain(rest).cloned().collect();
                    return self.resolve(at, &longer, steps + 1);
                }
                child
            }
        };
        let (module, rest) = self.walk(module, rest)?;
        let Some(item) = rest.first() else { return Some((module, None)) };
        let declared = self.modules.get(&module)?;
        if declared.items.contains(item) {
            return Some((module, Some(item.clone())));
        }
        if let Some(import) = declared.imports.get(item) {
            let longer: Vec<String> = import.iter().chain(&rest[1..]).cloned().collect();
            return self.resolve(&module, &longer, steps + 1);
        }
        for glob in &declared.globs {
            let longer: Vec<String> = glob.iter().chain([item]).cloned().collect();
            let found = self.resolve(&module, &longer, steps + 1);
            if let Some((to, Some(_))) = &found
                && self.modules[to].items.contains(item)
            {
                return found;
            }
        }
        Some((module, Some(item.clone())))
    }

    /// Goes down from a module as far as there are modules of these names, and returns what is left.
    fn walk<'n>(
        &self,
        mut module: ModulePath,
        mut rest: &'n [String],
    ) -> Option<(ModulePath, &'n [String])> {
        while let Some((next, more)) = rest.split_first() {
            if next == "super" {
                (module, rest) = (parent(&module)?, more);
                continue;
            }
            let mut child = module.clone();
            child.push(next.clone());
            if !self.modules.contains_key(&child) {
                break;
            }
            (module, rest) = (child, more);
        }
        Some((module, rest))
    }
}

fn parent(path: &ModulePath) -> Option<ModulePath> {
    let (_, parent) = path.split_last()?;
    Some(parent.to_vec())
}

/// What `#[path = "…"]` says, if such an attribute begins here.
pub fn path_attribute(all: &[Token<'_>], at: usize) -> Option<String> {
    let words: Vec<&str> = all.get(at..at + 6)?.iter().map(|token| token.text).collect();
    match words[..] {
        ["#", "[", "path", "=", literal, "]"] => Some(literal.trim_matches('"').to_owned()),
        _ => None,
    }
}

/// `use<'a>` in a return type.
fn is_capture(all: &[Token<'_>], at: usize) -> bool {
    all.get(at + 1).is_some_and(|token| token.text == "<")
}

/// Whether a path of at least two parts begins with this word.
fn begins_path(all: &[Token<'_>], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| all.get(before));
    let goes_on = all.get(at + 1).is_some_and(|token| token.text == "::");
    goes_on && before.is_none_or(|token| token.text != "::" && token.text != ".")
}

/// The words of the path that begins here, and the index behind it.
fn whole_path(all: &[Token<'_>], mut at: usize) -> (Vec<String>, usize) {
    let mut words = Vec::new();
    while let Some(word) = all.get(at).filter(|token| token.kind == Kind::Word) {
        words.push(word.text.to_owned());
        at += 1;
        if all.get(at).is_none_or(|token| token.text != "::") {
            break;
        }
        at += 1;
    }
    (words, at)
}

/// Reads what stands between `use` and `;`: a tree of paths.
fn read_use(tree: &[Token<'_>], prefix: &mut Vec<String>, module: &mut Module) {
    let depth = prefix.len();
    let mut at = 0;
    while let Some(token) = tree.get(at) {
        match (token.kind, token.text) {
            (Kind::Word, "as") => {
                let alias = tree.get(at + 1).map_or("_", |alias| alias.text).to_owned();
                module.named.push((prefix.clone(), token.line));
                module.imports.insert(alias, prefix.clone());
                prefix.truncate(depth);
                at += 1;
            }
            (Kind::Word, "self") if depth > 0 && prefix.len() == depth => {}
            (Kind::Word, word) => prefix.push(word.to_owned()),
            (Kind::Mark, "*") => {
                module.globs.push(std::mem::take(prefix));
                let glob = module.globs.last().cloned().unwrap_or_default();
                prefix.extend(glob.into_iter().take(depth));
                at += 1;
                continue;
            }
            (Kind::Mark, "{") => {
                let end = behind_block(tree, at);
                let mut inner = prefix.clone();
                let inside = tree.get(at + 1..end.saturating_sub(1)).unwrap_or_default();
                read_use(inside, &mut inner, module);
                prefix.truncate(depth);
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
        let ends = tree.get(at).is_none_or(|next| next.text == ",");
        if ends && (prefix.len() > depth || token.text == "self") {
            let name = prefix.last().cloned().unwrap_or_default();
            module.named.push((prefix.clone(), token.line));
            module.imports.insert(name, prefix.clone());
            prefix.truncate(depth);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The circles of a crate of these files, and all its arrows, by name.
    fn found(files: &[(&str, &str)]) -> (Vec<Vec<String>>, Vec<String>) {
        let read = |path: &Path| {
            let file = files.iter().find(|(name, _)| Path::new(name) == path);
            file.map(|(_, text)| (*text).to_owned()).ok_or_else(|| format!("{path:?}"))
        };
        let arrows = arrows(Path::new("lib.rs"), &read).unwrap();
        let name = |path: &PathBuf| path.display().to_string();
        let groups = circles(&arrows);
        let circles = groups.iter().map(|group| group.iter().map(name).collect()).collect();
        let all = arrows.iter().flat_map(|(from, to)| {
            to.keys().map(move |to| format!("{} -> {}", from.display(), to.display()))
        });
        let mut all: Vec<String> = all.collect();
        all.sort();
        (circles, all)
    }

    #[test]
    fn two_files_that_name_each_other_are_a_circle() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b::{B, self}; pub struct A;"),
            ("b.rs", "pub struct B; fn f() { super::a::A; }"),
            ("c.rs", "use crate::{a::A, b};"),
        ];
        let (circles, arrows) = found(&files);
        assert_eq!(circles, [["a.rs", "b.rs"]]);
        assert_eq!(arrows, ["a.rs -> b.rs", "b.rs -> a.rs", "c.rs -> a.rs"]);
    }

    #[test]
    fn a_path_leads_to_the_file_that_declares_the_item() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use a::A; pub use b::*;"),
            ("a.rs", "pub struct A;"),
            ("b.rs", "mod inner; use crate::A as Renamed; pub use inner::*; fn f() -> Renamed {}"),
            ("b/inner.rs", "pub struct I; fn g() { crate::a::A }"),
            ("c.rs", "unused"),
        ];
        let (circles, arrows) = found(&files);
        assert!(circles.is_empty(), "{circles:?}");
        assert_eq!(arrows, ["b.rs -> a.rs", "b/inner.rs -> a.rs", "lib.rs -> a.rs"]);
        let through_glob = [
            ("lib.rs", "mod b; mod d; pub use b::*;"),
            ("b.rs", "mod inner; pub use inner::*;"),
            ("b/inner.rs", "use crate::d::D; pub struct I;"),
            ("d.rs", "use crate::I; pub struct D;"),
        ];
        assert_eq!(found(&through_glob).0, [["b/inner.rs", "d.rs"]]);
    }

    #[test]
    fn a_child_may_use_its_parent_and_a_circle_through_another_room_is_seen() {
        let within = [
            ("lib.rs", "mod a; pub struct Root;"),
            ("a/mod.rs", "mod b; pub fn run() { b::go() }"),
            ("a/b.rs", "use super::run; use crate::Root; pub fn go() { run() }"),
        ];
        assert_eq!(found(&within).0, [[""; 0]; 0]);
        let through = [
            ("lib.rs", "mod a; mod c;"),
            ("a/mod.rs", "mod b; pub fn run() { b::go() }"),
            ("a/b.rs", "use crate::c::C; pub fn go() {}"),
            ("c.rs", "use crate::a::run; pub struct C;"),
        ];
        assert_eq!(found(&through).0, [["a/b.rs", "a/mod.rs", "c.rs"]]);
    }

    #[test]
    fn tests_comments_strings_and_other_crates_are_no_arrows() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            (
                "a.rs",
                "use crate::b::B; pub struct A; use b::x; fn f() { b::y(); \"crate::c::D\"; }",
            ),
            ("b.rs", "pub struct B; // crate::a::A\n#[cfg(test)] mod tests { use crate::a::A; }"),
        ];
        let (circles, arrows) = found(&files);
        assert!(circles.is_empty(), "{circles:?}");
        assert_eq!(arrows, ["a.rs -> b.rs"]);
    }

    #[test]
    fn inline_modules_belong_to_their_file_and_own_paths_are_followed() {
        let files = [
            ("lib.rs", "mod a; #[path = \"elsewhere.rs\"] mod b;"),
            ("a.rs", "mod inline { pub mod deep; use super::super::b::B; } pub struct A;"),
            ("a/inline/deep.rs", "use crate::{a::A, b::B};"),
            ("elsewhere.rs", "use crate::a::A; pub struct B;"),
        ];
        let (circles, arrows) = found(&files);
        assert_eq!(circles, [["a.rs", "elsewhere.rs"]]);
        assert!(arrows.contains(&"a/inline/deep.rs -> elsewhere.rs".to_owned()), "{arrows:?}");
    }
}
