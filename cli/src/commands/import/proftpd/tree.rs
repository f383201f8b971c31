//! The lines of proftpd.conf as a tree of sections.

use crate::commands::import::{
    directive::Setting,
    input::Line,
    translation::{Fate, Translation},
};

/// A line, or a section of them.
#[derive(Debug)]
pub enum Node {
    /// A directive.
    Setting(Setting),
    /// A section.
    Section(Section),
    /// The end of a section that is not open.
    Stray(Line),
}

/// `<Name arguments>` … `</Name>`.
#[derive(Debug)]
pub struct Section {
    /// Its name in lower case.
    pub name: String,
    /// What stands behind the name.
    pub arguments: String,
    /// The line that opens it.
    open: Line,
    /// The line that closes it; nothing where the file ends before.
    close: Option<Line>,
    /// What stands in it.
    pub nodes: Vec<Node>,
}

impl Section {
    /// Whether it has this name.
    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// How it is shown.
    pub fn title(&self) -> String {
        crate::commands::console::escape(&self.open.text)
    }

    /// Accounts for the lines that open and close it.
    pub fn record(&self, into: &mut Translation, fate: Fate) {
        into.record(self.open.clone(), fate);
        if let Some(close) = &self.close {
            into.record(close.clone(), Fate::Taken);
        }
    }
}

/// The deepest nesting that is looked at; ProFTPD's own grammar has no more than five.
const MAX_DEPTH: usize = 16;

/// Parses lines. A line that ends with `\` goes on in the next one.
pub fn parse(lines: &[Line]) -> Vec<Node> {
    let mut open: Vec<Section> = Vec::new();
    let mut top = Vec::new();
    for line in lines {
        let place = |open: &mut Vec<Section>, top: &mut Vec<Node>, node| match open.last_mut() {
            Some(section) => section.nodes.push(node),
            None => top.push(node),
        };
        if let Some(name) = line.text.strip_prefix("</") {
            let name = name.trim_end_matches('>').trim().to_ascii_lowercase();
            match open.pop_if(|section| section.name == name) {
                Some(mut section) => {
                    section.close = Some(line.clone());
                    place(&mut open, &mut top, Node::Section(section));
                }
                None => place(&mut open, &mut top, Node::Stray(line.clone())),
            }
        } else if line.text.starts_with('<') && open.len() < MAX_DEPTH {
            open.push(section(line));
        } else {
            place(&mut open, &mut top, Node::Setting(setting(line)));
        }
    }
    while let Some(section) = open.pop() {
        match open.last_mut() {
            Some(outer) => outer.nodes.push(Node::Section(section)),
            None => top.push(Node::Section(section)),
        }
    }
    top
}

fn section(line: &Line) -> Section {
    let text = line.text.trim_start_matches('<').trim_end_matches('>').trim();
    let (name, arguments) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    Section {
        name: name.to_ascii_lowercase(),
        arguments: arguments.trim().to_owned(),
        open: line.clone(),
        close: None,
        nodes: Vec::new(),
    }
}

fn setting(line: &Line) -> Setting {
    let (name, value) = line.text.split_once(char::is_whitespace).unwrap_or((&line.text, ""));
    Setting {
        place: line.place.clone(),
        name: name.to_owned(),
        value: value.trim().trim_end_matches('\\').trim().to_owned(),
    }
}
