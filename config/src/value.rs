//! One value of the configuration: from TOML to a checked value of its kind.

use std::net::IpAddr;

use ipc::network::Network;
use toml::de::DeValue;

use super::schema::Kind;

/// A value that has the form its kind demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Number(u64),
    Flag(bool),
    Text(String),
    Texts(Vec<String>),
    Addresses(Vec<IpAddr>),
    Networks(Vec<Network>),
    Ports(u16, u16),
    PerNetwork(Vec<(Option<Network>, String)>),
    Key(Vec<u8>),
}

/// What is wrong with a value, and what to write instead.
pub(super) type Wrong = (String, String);

fn wrong(what: impl Into<String>, remedy: impl Into<String>) -> Wrong {
    (what.into(), remedy.into())
}

/// Reads `value` as `kind`.
pub(super) fn read(kind: Kind, value: &DeValue<'_>) -> Result<Value, Wrong> {
    match kind {
        Kind::Seconds | Kind::Count | Kind::Bytes => number(value, 0, u64::MAX).map(Value::Number),
        Kind::AtLeastOne => number(value, 1, u64::from(u32::MAX)).map(Value::Number),
        Kind::UpTo(most) => number(value, 0, most).map(Value::Number),
        Kind::Port => number(value, 0, u64::from(u16::MAX)).map(Value::Number),
        Kind::Flag => match value.as_bool() {
            Some(flag) => Ok(Value::Flag(flag)),
            None => Err(wrong("this is neither true nor false", "write true or false, unquoted")),
        },
        Kind::Text | Kind::Path => text(value).map(Value::Text),
        Kind::Paths => texts_or_one(value).map(Value::Texts),
        Kind::Texts => texts(value).map(Value::Texts),
        Kind::Addresses => addresses(value),
        Kind::Networks => {
            let parse = |text: String| text.parse::<Network>();
            let all: Result<Vec<_>, _> = texts(value)?.into_iter().map(parse).collect();
            all.map(Value::Networks)
                .map_err(|e| wrong(e, "write blocks such as \"192.0.2.0/24\" or \"2001:db8::/32\""))
        }
        Kind::OneOf(words) => one_of(text(value)?, words).map(Value::Text),
        Kind::ListOf(words) => texts(value)?
            .into_iter()
            .map(|word| one_of(word, words))
            .collect::<Result<_, _>>()
            .map(Value::Texts),
        Kind::Ports => ports(&text(value)?),
        Kind::Umask => umask(value).map(|mask| Value::Number(mask.into())),
        Kind::PerNetwork => per_network(value),
        Kind::HexKey => hex(&text(value)?).map(Value::Key),
    }
}

fn number(value: &DeValue<'_>, least: u64, most: u64) -> Result<u64, Wrong> {
    let range = || {
        if most == u64::MAX {
            format!("write a whole number of at least {least}, unquoted")
        } else {
            format!("write a whole number from {least} to {most}, unquoted")
        }
    };
    let Some(integer) = value.as_integer() else {
        return Err(wrong("this is not a whole number", range()));
    };
    u64::from_str_radix(integer.as_str(), integer.radix())
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| wrong(format!("{} is out of range", integer.as_str()), range()))
}

fn text(value: &DeValue<'_>) -> Result<String, Wrong> {
    let text =
        value.as_str().ok_or_else(|| wrong("this is not a text", "write it in double quotes"))?;
    if text.chars().any(char::is_control) {
        return Err(wrong("the text contains a control character", "write one line of plain text"));
    }
    Ok(text.to_owned())
}

fn texts(value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
    let list = value
        .as_array()
        .ok_or_else(|| wrong("this is not a list", "write a list such as [\"one\", \"two\"]"))?;
    list.iter().map(|item| text(item.get_ref())).collect()
}

fn texts_or_one(value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
    if value.is_array() { texts(value) } else { Ok(vec![text(value)?]) }
}

fn addresses(value: &DeValue<'_>) -> Result<Value, Wrong> {
    const REMEDY: &str = "write an IPv4 or IPv6 address in quotes, or a list of them";
    let all = texts_or_one(value)?;
    if all.is_empty() {
        return Err(wrong("the list of addresses is empty", REMEDY));
    }
    all.iter()
        .map(|text| {
            text.parse().map_err(|_| wrong(format!("\"{text}\" is not an IP address"), REMEDY))
        })
        .collect::<Result<_, _>>()
        .map(Value::Addresses)
}

fn one_of(word: String, words: &[&str]) -> Result<String, Wrong> {
    if words.contains(&word.as_str()) {
        return Ok(word);
    }
    let known: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    Err(wrong(format!("\"{word}\" is not known here"), format!("write {}", known.join(" or "))))
}

fn ports(text: &str) -> Result<Value, Wrong> {
    let parsed = text
        .split_once('-')
        .and_then(|(first, last)| Some((first.trim().parse().ok()?, last.trim().parse().ok()?)));
    match parsed {
        Some((first, last)) if first <= last && (first > 0 || last == 0) => {
            Ok(Value::Ports(first, last))
        }
        Some(_) | None => Err(wrong(
            format!("\"{text}\" is not a range of ports"),
            "write the first and the last port, such as \"50000-51000\"",
        )),
    }
}

/// The forms of `local_umask`: "077", "77" and "0o077" in quotes are octal digits; 0o077 is TOML's
/// own octal. A plain 77 is refused, because TOML means seventy-seven by it.
fn umask(value: &DeValue<'_>) -> Result<u32, Wrong> {
    const REMEDY: &str = "write octal digits in quotes, such as \"077\", or 0o077";
    let parsed = match value {
        DeValue::String(text) => {
            u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8).ok()
        }
        DeValue::Integer(integer) if integer.radix() == 8 || integer.as_str() == "0" => {
            u32::from_str_radix(integer.as_str(), 8).ok()
        }
        DeValue::Integer(integer) => {
            return Err(wrong(
                format!("{} without quotes is a decimal number, not permission bits", integer),
                REMEDY,
            ));
        }
        DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    };
    parsed
        .filter(|mask| *mask <= 0o777)
        .ok_or_else(|| wrong("these are not permission bits of at most 777", REMEDY))
}

fn per_network(value: &DeValue<'_>) -> Result<Value, Wrong> {
    const REMEDY: &str = "write an address or name in quotes, or a list such as \
        [{ network = \"10.0.0.0/8\", address = \"10.0.0.5\" }]";
    let Some(list) = value.as_array() else {
        return Ok(Value::PerNetwork(vec![(None, text(value)?)]));
    };
    let mut all = Vec::new();
    for item in list {
        let Some(table) = item.get_ref().as_table() else {
            return Err(wrong("an entry of the list is not a table", REMEDY));
        };
        if let Some((key, _)) =
            table.iter().find(|(key, _)| !["network", "address"].contains(&key.get_ref().as_ref()))
        {
            return Err(wrong(format!("unknown key `{}` in an entry", key.get_ref()), REMEDY));
        }
        let field = |name: &str| table.get(name).and_then(|field| field.get_ref().as_str());
        let (Some(network), Some(address)) = (field("network"), field("address")) else {
            return Err(wrong("an entry needs `network` and `address`", REMEDY));
        };
        let network = network.parse().map_err(|e: String| wrong(e, REMEDY))?;
        all.push((Some(network), address.to_owned()));
    }
    Ok(Value::PerNetwork(all))
}

fn hex(text: &str) -> Result<Vec<u8>, Wrong> {
    const REMEDY: &str = "write an even number of hexadecimal digits in quotes";
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let bytes = digits.filter(|digits| !digits.is_empty() && digits.len().is_multiple_of(2));
    match bytes {
        Some(digits) if digits.len() <= 2048 => Ok(digits
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0u8, |byte, digit| byte << 4 | digit))
            .collect()),
        // The text is a secret, so the message does not repeat it.
        Some(_) | None => Err(wrong("this is not a key in hexadecimal", REMEDY)),
    }
}
