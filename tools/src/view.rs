//! Formats a record's object for people.

use ledger_core::record::{Envelope, Object, Opened, SealPath, Value, is_sealed};

use crate::escape::{self, Escaped, LineMode};

/// The member that lists the digests of sealed members.
const DIGESTS: &str = "_sd";

/// The title, or that it is sealed.
pub fn title(envelope: &Envelope) -> String {
    match envelope.title() {
        "" => "(the title is sealed)".to_owned(),
        title => title.to_owned(),
    }
}

/// One member a line, indented, with every text escaped, and without a newline at the end.
pub fn object(object: &Object) -> Escaped {
    let mut text = String::new();
    print_object(&mut text, object, 0);
    text.truncate(text.trim_end().len());
    Escaped::of_escaped(text)
}

/// The members that disclosures opened, by their paths.
pub fn opened(opened: &Opened) -> Vec<String> {
    opened.paths().iter().map(SealPath::to_string).collect()
}

/// A count of digests, in words.
pub fn digests(count: usize) -> String {
    let what = if count == 1 { "1 digest" } else { &format!("{count} digests") };
    format!("{what} of sealed members, or decoys that open nothing")
}

fn print_object(out: &mut String, object: &Object, depth: usize) {
    for (name, value) in object.iter() {
        match value.as_list().filter(|_| name == DIGESTS) {
            Some(list) => {
                let indent = "  ".repeat(depth);
                out.push_str(&format!("{indent}(sealed) {}\n", digests(list.len())));
            }
            None => print_value(out, &escape::escaped(name, LineMode::One), value, depth),
        }
    }
}

fn print_value(out: &mut String, name: &str, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    // members are `name: value`, values of a list `- value`
    let label = if name == "-" { "-".to_owned() } else { format!("{name}:") };
    let text = match value {
        sealed if name == "-" && is_sealed(sealed) => "(sealed)".to_owned(),
        Value::Object(object) if !object.is_empty() => {
            out.push_str(&format!("{indent}{name}\n"));
            return print_object(out, object, depth + 1);
        }
        Value::List(values) if !values.is_empty() => {
            out.push_str(&format!("{indent}{name}\n"));
            return values.iter().for_each(|value| print_value(out, "-", value, depth + 1));
        }
        Value::Text(text) => {
            escape::escaped(text, LineMode::Many).replace('\n', &format!("\n{indent}    "))
        }
        Value::Integer(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null => "null".to_owned(),
        Value::Object(_) | Value::List(_) => "none".to_owned(),
    };
    out.push_str(&format!("{indent}{label} {text}\n"));
}
