//! The account file as a document: what a change does not concern stays as somebody wrote it,
//! comments and order included.

use std::collections::BTreeMap;

use serde::Serialize;
use toml_edit::{DocumentMut, Item, Table, TableLike};

/// The two tables of an account file.
pub struct Tables<'a, A, F> {
    /// The accounts by name.
    pub accounts: &'a BTreeMap<String, A>,
    /// The second factors by name.
    pub second_factors: &'a BTreeMap<String, F>,
}

/// The text of the account file after a change.
///
/// # Errors
/// When the text before is no TOML, or a table of it is none.
pub fn changed<A: Serialize + PartialEq, F: Serialize + PartialEq>(
    text: &str,
    before: &Tables<'_, A, F>,
    after: &Tables<'_, A, F>,
) -> Result<String, String> {
    let mut document: DocumentMut =
        text.parse().map_err(|e: toml_edit::TomlError| e.message().to_owned())?;
    merge(&mut document, "accounts", before.accounts, after.accounts)?;
    merge(&mut document, "second_factors", before.second_factors, after.second_factors)?;
    Ok(document.to_string())
}

/// Brings one of the two tables of the document from `before` to `after`.
fn merge<T: Serialize + PartialEq>(
    document: &mut DocumentMut,
    table: &str,
    before: &BTreeMap<String, T>,
    after: &BTreeMap<String, T>,
) -> Result<(), String> {
    let gone: Vec<&String> = before.keys().filter(|name| !after.contains_key(*name)).collect();
    let mut new: Vec<(&String, &T)> =
        after.iter().filter(|(name, _)| !before.contains_key(*name)).collect();
    let mut same = Vec::new();
    for (name, value) in after {
        // Of many accounts nearly all stay as they are.
        if let Some(old) = before.get(name).filter(|old| *old != value) {
            same.push((name, fields(old)?, fields(value)?));
        }
    }
    if gone.is_empty() && new.is_empty() && same.is_empty() {
        return Ok(());
    }
    let all = document.entry(table).or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    let all = all.as_table_like_mut().ok_or_else(|| format!("`{table}` is no table"))?;
    for name in gone {
        let item = all.remove(name);
        // One that only has another name now keeps its place and its comments.
        let old = before.get(name).map(fields).transpose()?.map(|table| table.to_string());
        let mut renamed = None;
        for (index, (_, value)) in new.iter().enumerate() {
            if old.as_deref() == Some(fields(*value)?.to_string().as_str()) {
                renamed = Some(index);
            }
        }
        if let (Some(index), Some(item)) = (renamed, item) {
            let (name, _) = new.remove(index);
            all.insert(name, item);
        }
    }
    for (name, value) in new {
        let mut fields = fields(value)?;
        fields.decor_mut().set_prefix("\n");
        all.insert(name, Item::Table(fields));
    }
    for (name, old, value) in same {
        let item = all.get_mut(name).ok_or_else(|| format!("`{table}` has lost {name:?}"))?;
        let item = item.as_table_like_mut().ok_or_else(|| format!("{name:?} is no table"))?;
        update(item, &old, &value);
    }
    Ok(())
}

/// The fields of an account or a second factor as a table.
fn fields<T: Serialize>(value: &T) -> Result<Table, String> {
    toml_edit::ser::to_document(value).map(|d| d.as_table().clone()).map_err(|e| e.to_string())
}

/// Changes the fields that differ, each in its place.
fn update(item: &mut dyn TableLike, old: &Table, new: &Table) {
    for (key, _) in old.iter().filter(|(key, _)| !new.contains_key(key)) {
        item.remove(key);
    }
    for (key, value) in new {
        if old.get(key).is_some_and(|old| old.to_string() == value.to_string()) {
            continue;
        }
        match (item.get_mut(key).and_then(Item::as_value_mut), value.as_value()) {
            (Some(place), Some(value)) => {
                let decor = place.decor().clone();
                *place = value.clone();
                *place.decor_mut() = decor;
            }
            _ => drop(item.insert(key, value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{record::Record, store::Store};

    const TEXT: &str = "# Ours.\n\n[accounts.bob] # the second\nroot = \"/srv/b\" # his\nuid = 5\n\
        gid = 5\n\n# Alice of accounting.\n[accounts.alice]\nroot = \"/srv/a\"\nuid = 4\ngid = 4 # see wiki\n\
        \n[second_factors.alice]\nsecret = \"JBSWY3DP\"\n# The end.\n";

    fn parse(text: &str) -> Store {
        Store::parse(Path::new("users.toml"), text).unwrap()
    }

    fn after(text: &str, change: impl FnOnce(&mut Store)) -> String {
        let before = parse(text);
        let mut after = before.clone();
        change(&mut after);
        let text = changed(text, &before.tables(), &after.tables()).unwrap();
        assert_eq!(toml::to_string(&parse(&text)).unwrap(), toml::to_string(&after).unwrap());
        text
    }

    #[test]
    fn e5_a_change_keeps_comments_order_and_what_it_does_not_concern() {
        assert_eq!(after(TEXT, |_| ()), TEXT);
        let text = after(TEXT, |store| {
            let alice = store.accounts.get_mut("alice").unwrap();
            (alice.gid, alice.max_sessions, alice.disabled) = (Some(9), Some(2), true);
            store.accounts.get_mut("bob").unwrap().root = "/srv/c".into();
        });
        let expected = TEXT.replace("\"/srv/b\" # his", "\"/srv/c\" # his").replace(
            "gid = 4 # see wiki\n",
            "gid = 9 # see wiki\nmax_sessions = 2\ndisabled = true\n",
        );
        assert_eq!(text, expected);
        let text = after(&text, |store| store.accounts.get_mut("alice").unwrap().disabled = false);
        assert_eq!(text, expected.replace("disabled = true\n", ""));
    }

    #[test]
    fn e5_accounts_come_and_go_and_get_another_name() {
        let text = after(TEXT, |store| {
            store
                .accounts
                .insert("carol".into(), Record { root: "/c".into(), ..Record::default() });
        });
        assert!(text.contains("[accounts.carol]\nroot = \"/c\"\n"), "{text}");
        assert!(text.starts_with("# Ours.\n\n[accounts.bob] # the second\n"), "{text}");
        let text = after(TEXT, |store| {
            store.accounts.remove("bob");
        });
        assert!(text.contains("# Alice of accounting.") && !text.contains("bob"), "{text}");
        let text = after(TEXT, |store| {
            let alice = store.accounts.remove("alice").unwrap();
            store.accounts.insert("alicia".into(), alice);
            let factor = store.second_factors.remove("alice").unwrap();
            store.second_factors.insert("alicia".into(), factor);
        });
        assert_eq!(text, TEXT.replace("s.alice]", "s.alicia]"));
    }

    #[test]
    fn e5_other_ways_to_write_the_same_are_kept() {
        let inline =
            "[accounts]\nbob = { root = \"/srv/b\", uid = 5 } # short\n\"a b\".root = \"/x\"\n";
        let text = after(inline, |store| {
            store.accounts.get_mut("bob").unwrap().gid = Some(6);
            store.accounts.get_mut("a b").unwrap().uid = Some(7);
        });
        assert!(
            text.contains("bob = { root = \"/srv/b\", uid = 5") && text.contains("# short"),
            "{text}"
        );
        let text = after(inline, |store| {
            store.accounts.insert("c".into(), Record { root: "/c".into(), ..Record::default() });
        });
        assert!(text.contains("# short"), "{text}");
        assert!(
            after("", |store| {
                store
                    .accounts
                    .insert("c".into(), Record { root: "/c".into(), ..Record::default() });
            })
            .contains("[accounts.c]")
        );
    }
}
