//! `bulkhead document`, in builds for packaging: man pages and completions out of the command line's
//! own definition, and the example and reference of the configuration out of its table of keys.

use std::fmt::Write;

use config::schema::{KEYS, Key};
use ipc::reason::Reason;
use serde_json::json;
use supervisor::log::Event;

/// The width of a comment in the example.
const WIDTH: usize = 96;

/// Writes everything into a directory.
///
/// # Errors
/// When a file cannot be written.
#[cfg(feature = "document")]
pub fn write(command: &clap::Command, directory: &std::path::Path) -> Result<(), super::Failure> {
    use std::fs;
    let man = directory.join("man");
    let completions = directory.join("completions");
    for place in [&man, &completions] {
        fs::create_dir_all(place)?;
    }
    fs::write(directory.join("bulkhead.toml"), example())?;
    fs::write(directory.join("configure.md"), reference())?;
    fs::write(directory.join("log-events.md"), events())?;
    fs::write(directory.join("log-reasons.md"), reasons())?;
    fs::write(directory.join("log.schema.json"), log_schema())?;
    fs::write(man.join("bulkhead.toml.5"), configuration_page())?;
    write_pages(command, "bulkhead", &man)?;
    let shells = [
        (clap_complete::Shell::Bash, "bulkhead.bash"),
        (clap_complete::Shell::Zsh, "_bulkhead"),
        (clap_complete::Shell::Fish, "bulkhead.fish"),
    ];
    for (shell, name) in shells {
        let mut file = fs::File::create(completions.join(name))?;
        clap_complete::generate(shell, &mut command.clone(), "bulkhead", &mut file);
    }
    Ok(())
}

/// One page for the command and one for each subcommand that is shown.
#[cfg(feature = "document")]
fn write_pages(
    command: &clap::Command,
    name: &str,
    man: &std::path::Path,
) -> Result<(), super::Failure> {
    let mut page = Vec::new();
    let titled = command.clone().name(name.to_owned()).disable_help_subcommand(true);
    let titled = titled.bin_name(name.replace('-', " "));
    clap_mangen::Man::new(titled).section("8").manual("Bulkhead").render(&mut page)?;
    page.extend_from_slice(SEE_ALSO.as_bytes());
    std::fs::write(man.join(format!("{name}.8")), page)?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        write_pages(sub, &format!("{name}-{}", sub.get_name()), man)?;
    }
    Ok(())
}

#[cfg(feature = "document")]
const SEE_ALSO: &str = ".SH \"SEE ALSO\"\n\\fBbulkhead\\fR(8), \\fBbulkhead.toml\\fR(5), and the documents in \
    /usr/share/doc/bulkhead\n";

/// The events of the log, as a table of docs/log.md.
pub fn events() -> String {
    let mut text =
        String::from("| event | level | fields | what has happened |\n|---|---|---|---|\n");
    for event in Event::ALL {
        let fields: Vec<String> = event.fields().iter().map(|name| format!("`{name}`")).collect();
        writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            event.name(),
            event.level().as_str().to_lowercase(),
            fields.join(" "),
            event.meaning().trim()
        )
        .ok();
    }
    text
}

/// The reasons in the log, as a table of docs/log.md.
pub fn reasons() -> String {
    let mut text = String::from("| reason | what it means |\n|---|---|\n");
    for reason in Reason::ALL {
        writeln!(text, "| `{}` | {} |", reason.word(), reason.meaning().trim()).ok();
    }
    text
}

/// The JSON schema of a line of the log: docs/log.schema.json.
pub fn log_schema() -> String {
    let words: Vec<&str> = Reason::ALL.iter().map(|reason| reason.word()).collect();
    let kind = |event: Event, field: &str| match (event, field) {
        (Event::Transfer | Event::File | Event::CommandRefused, "reason") => {
            json!({ "enum": words })
        }
        (
            _,
            "session" | "port" | "uid" | "pid" | "bytes" | "rate" | "soft" | "hard" | "wanted"
            | "sessions" | "count" | "lines",
        ) => json!({ "type": "integer" }),
        (_, "seconds") => json!({ "type": "number" }),
        (_, "complete" | "done" | "tls" | "extended_master_secret") => json!({ "type": "boolean" }),
        _ => json!({ "type": "string" }),
    };
    let line = |event: &Event| {
        let mut properties = serde_json::Map::new();
        properties.insert("timestamp".into(), json!({ "type": "string", "format": "date-time" }));
        properties.insert("level".into(), json!({ "const": event.level().as_str() }));
        properties.insert("event".into(), json!({ "const": event.name() }));
        properties.insert("message".into(), json!({ "type": "string" }));
        for field in event.fields() {
            properties.insert((*field).into(), kind(*event, field));
        }
        json!({
            "type": "object",
            "description": event.meaning().trim(),
            "properties": properties,
            "required": ["timestamp", "level", "event"],
            "additionalProperties": false,
        })
    };
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of Bulkhead's log with [log] format = \"json\"",
        "oneOf": Event::ALL.iter().map(line).collect::<Vec<_>>(),
    });
    // Values are valid; only keys that are no text fail.
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// The keys of each table in their order, the flat ones first.
fn by_table() -> Vec<(&'static str, Vec<&'static Key>)> {
    let mut tables: Vec<(&str, Vec<&Key>)> = Vec::new();
    for key in KEYS {
        match tables.iter_mut().find(|(table, _)| *table == key.table) {
            Some((_, keys)) => keys.push(key),
            None => tables.push((key.table, vec![key])),
        }
    }
    tables
}

/// The configuration file that the packages install: every key, commented out.
pub fn example() -> String {
    let mut text = String::from(
        "# Configuration of Bulkhead: every key there is, with its default (or an example, where it\n\
         # has none). Remove the # of a line to change it; see bulkhead.toml(5). `bulkhead check` says\n\
         # everything that is wrong with this file at once.\n",
    );
    for (table, keys) in by_table() {
        if !table.is_empty() {
            write!(text, "\n[{table}]\n").ok();
        }
        for key in keys {
            text.push('\n');
            for line in wrapped(key.doc) {
                writeln!(text, "# {line}").ok();
            }
            match key.default {
                Some(default) => writeln!(text, "#{} = {default}", key.name).ok(),
                None => {
                    writeln!(text, "# Not set. For example:\n#{} = {}", key.name, key.example).ok()
                }
            };
        }
    }
    text
}

/// The reference in Markdown: docs/configure.md.
pub fn reference() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         `/etc/bulkhead/bulkhead.toml`, or the file after `--config`. This page is written by\n\
         `cargo xtask document` out of the table of keys that also drives the parser. An unknown key is\n\
         an error that names the nearest known one; `bulkhead check` says everything that is wrong at\n\
         once, with line and remedy.\n",
    );
    for (table, keys) in by_table() {
        match table {
            "" => text.push_str("\n## Keys outside a table\n\n"),
            table => write!(text, "\n## `[{table}]`\n\n").unwrap_or_default(),
        }
        text.push_str("| key | default | what it means | example |\n|---|---|---|---|\n");
        for key in keys {
            let default = key.default.map_or("none".to_owned(), |value| format!("`{value}`"));
            writeln!(text, "| `{}` | {default} | {} | `{}` |", key.name, key.doc, key.example).ok();
        }
    }
    text
}

/// bulkhead.toml(5).
#[cfg(feature = "document")]
fn configuration_page() -> String {
    let mut text = format!(
        ".TH bulkhead.toml 5 \"\" \"bulkhead {}\" \"Bulkhead\"\n\
         .SH NAME\nbulkhead.toml \\- configuration of the Bulkhead file-transfer server\n\
         .SH DESCRIPTION\n\
         The file is TOML. An unknown key is an error that names the nearest known one.\n\
         \\fBbulkhead check\\fR says everything that is wrong with it at once. Each key is given with\n\
         its default. After a change, \\fBbulkhead reload\\fR puts it in force for new connections.\n",
        env!("CARGO_PKG_VERSION")
    );
    for (table, keys) in by_table() {
        match table {
            "" => text.push_str(".SH \"KEYS OUTSIDE A TABLE\"\n"),
            table => writeln!(text, ".SH [{table}]").unwrap_or_default(),
        }
        for key in keys {
            let (value, note) = match key.default {
                Some(default) => (default, ""),
                None => (key.example, " (an example; not set by default)"),
            };
            let head = format!("{} = {value}", key.name);
            writeln!(text, ".TP\n\\fB{}\\fR{note}\n{}", roff(&head), roff(key.doc)).ok();
        }
    }
    text.push_str(
        ".SH FILES\n/etc/bulkhead/bulkhead.toml\n.SH \"SEE ALSO\"\n\\fBbulkhead\\fR(8)\n",
    );
    text
}

/// Text that roff prints as it stands.
#[cfg(feature = "document")]
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let room = lines.last().is_some_and(|line| line.len() + word.len() < WIDTH);
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if room => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use config::Config;

    const FILE: &str = "/etc/bulkhead/bulkhead.toml";

    /// All of a configuration but the lines its keys were on.
    fn settings(text: &str) -> String {
        let config = format!("{:?}", Config::parse(Path::new(FILE), text).unwrap());
        config.split(", lines: [").next().unwrap().to_owned()
    }

    #[test]
    fn the_example_loads_as_it_is_installed() {
        assert_eq!(settings(&example()), settings(""));
    }

    #[test]
    fn every_default_of_the_example_is_the_default() {
        let unset: Vec<&str> =
            KEYS.iter().filter(|key| key.default.is_none()).map(|key| key.name).collect();
        let uncommented: String = example()
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') => rest,
                _ => line,
            })
            .filter(|line| !unset.iter().any(|name| line.starts_with(&format!("{name} = "))))
            .map(|line| format!("{line}\n"))
            .collect();
        assert!(uncommented.lines().count() > KEYS.len());
        assert_eq!(settings(&uncommented), settings(""));
    }

    #[test]
    fn e4_the_page_of_the_log_is_up_to_date() {
        let page = include_str!("../../../docs/log.md");
        assert!(page.contains(&events()), "run `cargo xtask document`");
        assert!(page.contains(&reasons()), "run `cargo xtask document`");
        let schema = include_str!("../../../docs/log.schema.json");
        assert!(schema == log_schema(), "run `cargo xtask document`");
    }

    #[test]
    fn the_reference_in_the_documents_is_up_to_date() {
        let page = include_str!("../../../docs/configure.md");
        assert!(page == reference(), "run `cargo xtask document`");
    }
}
