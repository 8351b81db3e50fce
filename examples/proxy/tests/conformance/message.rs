//! HTTP messages as the tests record them, from either version.

use std::fmt;

/// Names in lower case and their values, in the order on the wire.
pub type Fields = Vec<(String, String)>;

/// One request or response.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// `GET /path HTTP/1.1`, `HTTP/1.1 200 OK`; over HTTP/2 `GET /path HTTP/2` and `HTTP/2 200`.
    pub start: String,
    pub fields: Fields,
    pub content: Vec<u8>,
    pub trailers: Fields,
    /// Why the message is incomplete, if it is: `closed`, `reset 2`, `goaway 1`, or what is wrong with its framing.
    pub cut: Option<String>,
}

impl Message {
    pub fn values<'a>(fields: &'a Fields, name: &str) -> Vec<&'a str> {
        let named = fields.iter().filter(|field| field.0 == name);
        named.map(|field| field.1.as_str()).collect()
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |text: &str| text.chars().take(120).collect::<String>();
        writeln!(f, "      {}", self.start)?;
        for (name, value) in &self.fields {
            writeln!(f, "      {name}: {}", short(value))?;
        }
        writeln!(
            f,
            "      = {}",
            short(&String::from_utf8_lossy(&self.content))
        )?;
        for (name, value) in &self.trailers {
            writeln!(f, "      + {name}: {}", short(value))?;
        }
        match &self.cut {
            Some(why) => writeln!(f, "      cut: {why}"),
            None => Ok(()),
        }
    }
}

/// Compares messages with the expected lines. The error describes the difference.
///
/// A line that is a start line (or its beginning) begins the expectations of the next message. Then `name: value` is a
/// field that is present once, with this value, `name: one | two` one that is present twice, and `name: o*` one whose
/// value begins with `o`; `!name` is absent; `= content` is the whole content; `+ name: value` and `!+ name` are the
/// same for trailers; `cut` or `cut: why` is an incomplete message. A message for which no `cut` is expected must be
/// complete.
pub fn compare(expected: &[String], messages: &[Message]) -> Result<(), String> {
    let mut messages = messages.iter();
    let mut lines = expected.iter().peekable();
    while let Some(start) = lines.next() {
        let Some(message) = messages.next() else {
            return Err(format!("there is no message {start:?}"));
        };
        if !message.start.starts_with(start.as_str()) {
            return Err(format!("found {:?}, expected {start:?}", message.start));
        }
        let mut cut = false;
        while let Some(line) = lines.next_if(|line| !is_start(line)) {
            cut |= line.starts_with("cut");
            check(line, message).map_err(|found| format!("expected {line:?}, found {found}"))?;
        }
        if let (false, Some(why)) = (cut, &message.cut) {
            return Err(format!("{:?} has no end: {why}", message.start));
        }
    }
    match messages.next() {
        Some(more) => Err(format!("there is another message, {:?}", more.start)),
        None => Ok(()),
    }
}

pub fn is_start(line: &str) -> bool {
    line == "closes" || line.starts_with("HTTP/") || line.contains(" HTTP/")
}

fn check(line: &str, message: &Message) -> Result<(), String> {
    let held = |holds: bool, found: String| if holds { Ok(()) } else { Err(found) };
    if line == "cut" {
        return held(message.cut.is_some(), "an end".into());
    }
    if let Some(why) = line.strip_prefix("cut: ") {
        return held(
            message.cut.as_deref() == Some(why),
            format!("{:?}", message.cut),
        );
    }
    if let Some(content) = line.strip_prefix("= ") {
        return held(
            message.content == content.as_bytes(),
            format!("{:?}", String::from_utf8_lossy(&message.content)),
        );
    }
    let (fields, line) = match line.strip_prefix('+') {
        Some(line) => (&message.trailers, line.trim_start()),
        None if line.starts_with("!+") => {
            let values = Message::values(&message.trailers, line[2..].trim());
            return held(values.is_empty(), format!("{values:?}"));
        }
        None => (&message.fields, line),
    };
    if let Some(name) = line.strip_prefix('!') {
        let values = Message::values(fields, name);
        return held(values.is_empty(), format!("{values:?}"));
    }
    let (name, value) = split(line);
    let values = Message::values(fields, name);
    let found = values.join(" | ");
    let holds = match value.strip_suffix('*') {
        Some(beginning) => !values.is_empty() && found.starts_with(beginning),
        None => !values.is_empty() && found == value,
    };
    held(holds, format!("{values:?}"))
}

/// Splits `name: value`, where the name may begin with a colon.
pub fn split(line: &str) -> (&str, &str) {
    let colon = line.get(1..).and_then(|rest| rest.find(':'));
    let colon = colon.unwrap_or_else(|| panic!("{line:?} is no field")) + 1;
    (&line[..colon], line[colon + 1..].trim())
}
