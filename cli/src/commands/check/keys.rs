//! `bulkhead check --keys`: the schema as a commented configuration, every default in its place.

use super::super::console;
use config::schema;

/// Prints every key.
pub fn print() {
    console::say(render().trim_end());
}

/// Every key as a configuration in which what has a default is a comment.
fn render() -> String {
    let mut text = String::from("# Every key of the configuration, with its default.\n");
    let mut table = "";
    for key in schema::KEYS {
        if key.table != table {
            table = key.table;
            text.push_str(&format!("\n[{table}]\n"));
        }
        text.push_str(&format!("\n# {}\n", key.doc));
        match key.default {
            Some(default) => text.push_str(&format!("#{} = {default}\n", key.name)),
            None => {
                text.push_str(&format!("# Not set. For example: {} = {}\n", key.name, key.example))
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listing_is_a_configuration_that_loads_with_every_default_written_out() {
        let uncommented = render().lines().fold(String::new(), |text, line| {
            let key = line.strip_prefix('#').filter(|rest| !rest.starts_with(' '));
            text + key.unwrap_or(line) + "\n"
        });
        let config = config::Config::parse(std::path::Path::new("/x"), &uncommented);
        assert!(config.is_ok(), "{config:?}");
    }
}
