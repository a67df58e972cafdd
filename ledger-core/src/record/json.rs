//! The JSON that records may hold: I-JSON without floats, read once into values.
//!
//! Other files of the ledger, up to megabytes of evidence, are read in the same way. Their values
//! take more memory than their text, so a text may hold only so many: see [`most_values`].

use std::cell::Cell;
use std::fmt;

use super::fault::quoted;
use crate::heap::block;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// How deep objects and lists may nest, the record's own object counted: readers may recurse.
pub const MAX_DEPTH: usize = 32;

/// The largest magnitude of a number, 2^53: every JSON reader holds such integers exactly.
pub const MAX_INTEGER: i64 = 1 << 53;

/// Values that any text may hold: a record of the largest size has room for half as many.
const FREE_VALUES: usize = 64 << 10;

/// Bytes of text for each value beyond [`FREE_VALUES`]. The members of bundles and evidence are
/// longer: the shortest, a hash of a proof, has 46 bytes.
const BYTES_PER_VALUE: usize = 16;

/// Up to so many members a repeated name is found at once, beyond it when the object ends.
const FEW_MEMBERS: usize = 16;

const NUMBER_RULE: &str = "a number is a whole number within 2^53, without fraction, exponent or \
                           minus zero";

/// One JSON value under the record's rules. Closed: JSON has no other values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`. No member of the format takes it; unknown members may hold it.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number within 2^53.
    Integer(i64),
    /// A text without control characters other than newline and tab.
    Text(Box<str>),
    /// A list.
    List(Box<[Value]>),
    /// An object.
    Object(Object),
}

/// A JSON object: members in the order of the text, each name once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Object {
    members: Vec<(Box<str>, Value)>,
}

// what a list of the shortest values takes of the memory depends on it; 32-bit targets take less
const _: () = assert!(size_of::<Value>() <= 24);

/// How many values a text of so many bytes may hold, members' names counted.
///
/// A value takes 24 bytes and, with its text, one allocation; a text of this many values therefore
/// takes at most 4 bytes of heap a byte, and 4 MiB.
const fn most_values(bytes: usize) -> usize {
    FREE_VALUES + bytes / BYTES_PER_VALUE
}

/// Why a text is not JSON under the record's rules, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at line {line} column {column}")]
pub struct JsonError {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) problem: String,
}

impl Value {
    /// Reads one JSON value and nothing else around it but blanks.
    ///
    /// # Errors
    /// [`JsonError`] as for an object; the line and column are those of `text`.
    pub fn parse(text: &str) -> Result<Value, JsonError> {
        parse_value(text)
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    /// The number, if it is one.
    pub fn as_integer(&self) -> Option<i64> {
        if let Value::Integer(number) = self { Some(*number) } else { None }
    }

    /// The list's values, if it is one.
    pub fn as_list(&self) -> Option<&[Value]> {
        if let Value::List(values) = self { Some(values) } else { None }
    }

    /// The object, if it is one.
    pub fn as_object(&self) -> Option<&Object> {
        if let Value::Object(object) = self { Some(object) } else { None }
    }

    /// What the value takes of the heap, besides its own 24 bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Value::Null | Value::Bool(_) | Value::Integer(_) => 0,
            Value::Text(text) => block(text.len()),
            Value::List(values) => {
                let inside: usize = values.iter().map(Value::heap_bytes).sum();
                block(size_of_val(&**values)) + inside
            }
            Value::Object(object) => object.heap_bytes(),
        }
    }

    /// What the value is, in a word for messages: `a text`, `a list`, ...
    pub fn describe(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Integer(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Object(_) => "an object",
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text.into_boxed_str())
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Value {
        Value::Object(object)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Value {
        Value::List(values.into_iter().map(Into::into).collect())
    }
}

impl Object {
    /// The object without members, to be filled with [`Object::set`].
    pub fn new() -> Object {
        Object::default()
    }

    /// Reads one JSON object and nothing else around it but blanks.
    ///
    /// # Errors
    /// [`JsonError`] says which rule is broken, at which line and column of `text`.
    pub fn parse(text: &str) -> Result<Object, JsonError> {
        parse_object(text)
    }

    /// The value of a member.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.iter().find(|(own, _)| **own == *name).map(|(_, value)| value)
    }

    /// The value of a member that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_text)
    }

    /// The values of a member that is a list; empty without such a member.
    pub fn list(&self, name: &str) -> &[Value] {
        self.get(name).and_then(Value::as_list).unwrap_or_default()
    }

    /// The members in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.members.iter().map(|(name, value)| (&**name, value))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Puts a member at the end, or replaces its value where it stands.
    ///
    /// Whether names and values obey the record's rules is judged when a draft is made of them.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.members.iter_mut().find(|(own, _)| **own == *name) {
            Some((_, own)) => *own = value,
            None => self.members.push((name.into(), value)),
        }
    }

    /// The same as [`Object::set`], for building in one expression.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Object {
        self.set(name, value);
        self
    }

    /// The value of a member, to be changed where it stands.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.members.iter_mut().find(|(own, _)| **own == *name).map(|(_, value)| value)
    }

    /// Takes a member out.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.members.iter().position(|(own, _)| **own == *name)?;
        Some(self.members.remove(at).1)
    }

    /// Puts a member at the end, whose name the object is known not to have.
    pub(super) fn push(&mut self, name: &str, value: Value) {
        self.members.push((name.into(), value));
    }

    /// What the object's members take of the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let of_member = |(name, value): &(Box<str>, Value)| block(name.len()) + value.heap_bytes();
        let inside: usize = self.members.iter().map(of_member).sum();
        block(self.members.capacity() * size_of::<(Box<str>, Value)>()) + inside
    }

    /// The object as indented JSON, for people to read and edit.
    pub fn to_pretty_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("texts, integers and text names always print")
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::Integer(number) => serializer.serialize_i64(*number),
            Value::Text(text) => serializer.serialize_str(text),
            Value::List(values) => values.serialize(serializer),
            Value::Object(object) => object.serialize(serializer),
        }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.members.len()))?;
        for (name, value) in &self.members {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

fn parse_object(text: &str) -> Result<Object, JsonError> {
    match parse_value(text)? {
        Value::Object(object) => Ok(object),
        other => {
            let problem = format!("a record is one JSON object, not {}", other.describe());
            Err(JsonError { line: 1, column: 1, problem })
        }
    }
}

fn parse_value(text: &str) -> Result<Value, JsonError> {
    // raw tabs and returns would be blanks to JSON; a note allows none of them
    if let Some(at) = text.bytes().position(|byte| byte < 0x20 && byte != b'\n') {
        return Err(JsonError::at(text, at, "a raw control character other than a newline"));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let most = most_values(text.len());
    let seed = ValueSeed { depth: 1, left: &Cell::new(most), most, bytes: text.len() };
    let value = seed.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| JsonError::from_serde(&error))
}

impl JsonError {
    fn at(text: &str, offset: usize, problem: &str) -> JsonError {
        let before = &text.as_bytes()[..offset];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        JsonError { line, column: offset - start + 1, problem: problem.to_owned() }
    }

    fn from_serde(error: &serde_json::Error) -> JsonError {
        let (line, column) = (error.line(), error.column());
        let whole = error.to_string();
        let problem = whole.strip_suffix(&format!(" at line {line} column {column}"));
        JsonError { line, column, problem: problem.unwrap_or(&whole).to_owned() }
    }
}

/// Reads one value at a depth.
#[derive(Clone, Copy)]
struct ValueSeed<'a> {
    depth: usize,
    /// How many values the text may still hold.
    left: &'a Cell<usize>,
    most: usize,
    bytes: usize,
}

impl<'a> ValueSeed<'a> {
    /// Counts a value or a member's name, before any memory is taken for it.
    fn count<E: serde::de::Error>(self) -> Result<(), E> {
        let ValueSeed { left, most, bytes, .. } = self;
        let Some(rest) = left.get().checked_sub(1) else {
            return Err(E::custom(format_args!("more than {most} values in {bytes} bytes")));
        };
        left.set(rest);
        Ok(())
    }

    fn deeper<E: serde::de::Error>(self) -> Result<ValueSeed<'a>, E> {
        if self.depth > MAX_DEPTH {
            return Err(E::custom(format_args!("objects and lists nest deeper than {MAX_DEPTH}")));
        }
        Ok(ValueSeed { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Value, E> {
        if (-MAX_INTEGER..=MAX_INTEGER).contains(&number) {
            Ok(Value::Integer(number))
        } else {
            Err(E::custom(NUMBER_RULE))
        }
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number)
            .map_err(|_| E::custom(NUMBER_RULE))
            .and_then(|number| self.visit_i64(number))
    }

    // fractions, exponents, minus zero and whatever 64 bits do not hold come here
    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Value, E> {
        Err(E::custom(NUMBER_RULE))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        check_text(text)?;
        Ok(Value::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::List(values.into_boxed_slice()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members: Vec<(Box<str>, Value)> = Vec::new();
        while let Some(name) = map.next_key::<Box<str>>()? {
            self.count()?;
            check_text(&name)?;
            if members.len() < FEW_MEMBERS && members.iter().any(|(own, _)| *own == name) {
                return Err(repeated(&name));
            }
            let value = map.next_value_seed(inner)?;
            members.push((name, value));
        }
        if members.len() > FEW_MEMBERS {
            let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
            names.sort_unstable();
            if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(repeated(pair[0]));
            }
        }
        members.shrink_to_fit();
        Ok(Value::Object(Object { members }))
    }
}

fn repeated<E: serde::de::Error>(name: &str) -> E {
    E::custom(format_args!("member {} stands twice in one object", quoted(name)))
}

// SPEC rfc7493/2.1: no surrogates (serde_json refuses them), no noncharacters
fn check_text<E: serde::de::Error>(text: &str) -> Result<(), E> {
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Ok(());
    }
    for c in text.chars() {
        let number = u32::from(c);
        if c.is_control() && c != '\n' && c != '\t' {
            return Err(E::custom(format_args!(
                "control character U+{number:04X} in a text; only \\n and \\t are allowed"
            )));
        }
        if number & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&number) {
            return Err(E::custom(format_args!("U+{number:04X} in a text is no character")));
        }
    }
    Ok(())
}

impl std::str::FromStr for Value {
    type Err = JsonError;

    fn from_str(text: &str) -> Result<Value, JsonError> {
        Value::parse(text)
    }
}

impl std::str::FromStr for Object {
    type Err = JsonError;

    fn from_str(text: &str) -> Result<Object, JsonError> {
        Object::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_sort_are_read_in_order() {
        let text = r#"{"z": null, "a": [true, 0, -7, 9007199254740992], "\u0061b": "x\n\ty"}"#;
        let object = Object::parse(text).expect("sound");
        let names: Vec<&str> = object.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["z", "a", "ab"]);
        assert_eq!(object.list("a")[3].as_integer(), Some(MAX_INTEGER));
        assert_eq!(object.text("ab"), Some("x\n\ty"));
        assert_eq!(Object::parse(&object.to_pretty_json()), Ok(object));
    }

    /// The shortest values, and how many each is.
    const SHORTEST: [(&str, usize); 8] = [
        ("0", 1),
        ("{}", 1),
        ("[]", 1),
        (r#""""#, 1),
        (r#""a""#, 1),
        (r#"["a"]"#, 2),
        (r#"{"":0}"#, 3),
        ("[[[[[[[[0]]]]]]]]", 9),
    ];

    /// A list of `count` times this value.
    fn list_of(value: &str, count: usize) -> String {
        format!("[{}]", vec![value; count].join(","))
    }

    /// The text with as many blanks behind it as make so many bytes.
    fn padded(text: String, bytes: usize) -> String {
        let blanks = bytes.checked_sub(text.len()).expect("the text is shorter");
        text + &" ".repeat(blanks)
    }

    #[test]
    fn a_text_of_the_shortest_values_takes_at_most_four_bytes_of_heap_a_byte() {
        const BYTES: usize = 4 << 20;
        let most = most_values(BYTES);
        for (value, values) in SHORTEST {
            let text = list_of(value, (most - 1) / values);
            let heap = Value::parse(&padded(text, BYTES)).expect(value).heap_bytes();
            assert!(heap <= 4 * BYTES + (4 << 20), "{value}: {heap}");
            let text = list_of(value, (most - 1) / values + 1);
            let error = Value::parse(&padded(text, BYTES)).expect_err(value).to_string();
            let expected = format!("more than {most} values in {BYTES} bytes at line 1 column ");
            assert!(error.starts_with(&expected), "{value}: {error}");
        }
    }

    #[test]
    fn no_record_has_too_many_values_or_takes_more_than_sixteen_bytes_of_heap_a_byte() {
        use super::super::MAX_RECORD_BYTES;
        assert!(most_values(MAX_RECORD_BYTES) > MAX_RECORD_BYTES, "a value takes a byte");
        let deep = format!("{}0{}", "[".repeat(MAX_DEPTH - 1), "]".repeat(MAX_DEPTH - 1));
        let values = SHORTEST.into_iter().map(|(value, _)| value);
        for value in values.chain([deep.as_str()]) {
            let text = list_of(value, MAX_RECORD_BYTES / (value.len() + 1));
            let heap = Value::parse(&text).expect("few values").heap_bytes();
            assert!(heap <= 16 * text.len(), "{value}: {heap} for {}", text.len());
        }
    }

    #[test]
    fn each_json_rule_refuses_with_place_and_reason() {
        let number = NUMBER_RULE;
        let cases = [
            ("{\"a\":1,\"a\":2}", r#"member "a" stands twice in one object at line 1 column 10"#),
            (
                "{\"a\":1,\n\"\\u0061\":2}",
                r#"member "a" stands twice in one object at line 2 column 8"#,
            ),
            ("{\"a\":1.0}", &format!("{number} at line 1 column 8")),
            ("{\"a\":1e2}", &format!("{number} at line 1 column 8")),
            ("{\"a\":-0}", &format!("{number} at line 1 column 7")),
            ("{\"a\":9007199254740993}", &format!("{number} at line 1 column 21")),
            ("{\"a\":-9007199254740993}", &format!("{number} at line 1 column 22")),
            ("{\"a\":18446744073709551616}", &format!("{number} at line 1 column 25")),
            ("{\"a\":01}", "invalid number at line 1 column 7"),
            (
                "{\"a\":\"\\r\"}",
                "control character U+000D in a text; only \\n and \\t are allowed at line 1 column 9",
            ),
            (
                "{\"a\":\"\u{85}\"}",
                "control character U+0085 in a text; only \\n and \\t are allowed at line 1 column 9",
            ),
            ("{\"a\":\"\\ufffe\"}", "U+FFFE in a text is no character at line 1 column 13"),
            ("{\"a\":\"\\ud800\"}", "unexpected end of hex escape at line 1 column 13"),
            ("{\"a\":\"\\udc00\"}", "lone leading surrogate in hex escape at line 1 column 12"),
            ("{\"a\":\t1}", "a raw control character other than a newline at line 1 column 6"),
            ("{\n\r}", "a raw control character other than a newline at line 2 column 1"),
            ("{} {}", "trailing characters at line 1 column 4"),
            ("{\"a\":1,}", "trailing comma at line 1 column 8"),
            ("[]", "a record is one JSON object, not a list at line 1 column 1"),
        ];
        for (text, message) in cases {
            let error = Object::parse(text).expect_err(text);
            assert_eq!(error.to_string(), message, "{text}");
        }
    }

    #[test]
    fn depth_is_limited() {
        let nested = |depth: usize| {
            let lists = depth - 1;
            format!("{{\"a\":{}{}}}", "[".repeat(lists), "]".repeat(lists))
        };
        assert!(Object::parse(&nested(MAX_DEPTH)).is_ok());
        let error = Object::parse(&nested(MAX_DEPTH + 1)).expect_err("too deep");
        assert!(error.problem.contains("deeper than 32"), "{error}");
        assert!(Object::parse(&nested(30_000)).is_err());
    }

    #[test]
    fn repeated_names_are_found_among_many() {
        let many: String = (0..20).map(|n| format!("\"m{n}\":0,")).collect();
        assert!(Object::parse(&format!("{{{many}\"x\":0}}")).is_ok());
        let error = Object::parse(&format!("{{{many}\"m3\":0}}")).expect_err("repeated");
        assert_eq!(error.problem, r#"member "m3" stands twice in one object"#);
    }
}
