//! What people type into what a member holds, and what they wrote that no table knows.

use super::digest_marks::{is_sealed, open_members};
use super::json::{JsonError, Object, Value};
use super::kinds::ENVELOPE;
use super::shape::{MemberDef, Shape};
use super::{Kind, UNKNOWN};

impl Shape {
    /// The value that a typed argument stands for.
    ///
    /// Members that hold a text take it as typed; a language map takes a text as English; a list
    /// takes one value alone; everything else, and whatever begins with `{` or `[` there, is JSON.
    /// Whether the value fits is judged with the draft.
    ///
    /// # Errors
    /// [`JsonError`] if JSON is called for and the text is none.
    pub fn read_argument(&self, text: &str) -> Result<Value, JsonError> {
        match self {
            Shape::LanguageMap if !text.starts_with('{') => {
                Ok(Object::new().with("en", text).into())
            }
            Shape::List { .. } if text == UNKNOWN => Ok(text.into()),
            Shape::List { of, .. } if !text.starts_with('[') => {
                Ok(Value::List(Box::new([of.read_argument(text)?])))
            }
            Shape::Any
            | Shape::LanguageMap
            | Shape::List { .. }
            | Shape::Object(_)
            | Shape::Tagged { .. }
            | Shape::Map(_)
            | Shape::Integer { .. }
            | Shape::LeafIndex
            | Shape::Bool => Value::parse(text),
            _ => Ok(text.into()),
        }
    }
}

/// The member of a kind, or of the envelope, that has a name.
pub fn member(kind: Kind, name: &str) -> Option<&'static MemberDef> {
    let own = kind.definition().members;
    ENVELOPE.iter().chain(own).find(|member| member.name == name)
}

/// The paths of members that no table knows, in the order of the text.
///
/// They are lawful, kept and shown as unknown; often they are typing errors, so that whoever
/// writes a record should be told. Digests of sealed members are none of them.
pub fn unknown_members(kind: Kind, object: &Object) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in open_members(object) {
        match member(kind, name) {
            Some(member) => collect(&member.shape, value, name, &mut found),
            None => found.push(name.to_owned()),
        }
    }
    found
}

fn collect(shape: &Shape, value: &Value, path: &str, found: &mut Vec<String>) {
    match (shape, value) {
        (Shape::List { of, .. }, Value::List(values)) => {
            for (at, value) in values.iter().enumerate().filter(|(_, value)| !is_sealed(value)) {
                collect(of, value, &format!("{path}[{at}]"), found);
            }
        }
        (Shape::Map(of), Value::Object(object)) => {
            for (name, value) in open_members(object) {
                collect(of, value, &format!("{path}.{name}"), found);
            }
        }
        (Shape::Object(members), Value::Object(object)) => {
            collect_members(members, open_members(object), path, found);
        }
        (Shape::Tagged { tag, variants }, Value::Object(object)) => {
            let word = object.text(tag);
            let variant = variants.iter().find(|(own, _)| Some(*own) == word);
            let rest = open_members(object).filter(|(name, _)| name != tag);
            if let Some((_, members)) = variant {
                collect_members(members, rest, path, found);
            }
        }
        _ => {}
    }
}

fn collect_members<'a>(
    members: &[MemberDef],
    values: impl Iterator<Item = (&'a str, &'a Value)>,
    path: &str,
    found: &mut Vec<String>,
) {
    for (name, value) in values {
        let path = format!("{path}.{name}");
        match members.iter().find(|member| member.name == name) {
            Some(member) => collect(&member.shape, value, &path, found),
            None => found.push(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_arguments_become_what_members_hold() {
        let json = |text: &str| Value::parse(text).expect("test JSON");
        let cases = [
            ("title", "A fire", r#"{"en":"A fire"}"#),
            ("title", r#"{"fr":"Un feu"}"#, r#"{"fr":"Un feu"}"#),
            ("severity", "hazard", r#""hazard""#),
            ("harm_types", "physical", r#"["physical"]"#),
            ("harm_types", r#"["a","b"]"#, r#"["a","b"]"#),
            ("harm_types", "unknown", r#""unknown""#),
            ("rev", "2", "2"),
            ("xref", r#"{"scheme":"CVE","id":"1"}"#, r#"[{"scheme":"CVE","id":"1"}]"#),
            ("aware_at", "2026-01-31T09:30:00Z", r#""2026-01-31T09:30:00Z""#),
        ];
        for (name, typed, expected) in cases {
            let shape = &member(Kind::Incident, name).expect("in the tables").shape;
            assert_eq!(shape.read_argument(typed), Ok(json(expected)), "{name}={typed}");
        }
        let shape = &member(Kind::Incident, "rev").expect("in the envelope").shape;
        assert!(shape.read_argument("two").is_err());
        assert!(shape.read_argument("1,\"w\":2").is_err());
        assert!(member(Kind::Incident, "rationale").is_none());
    }

    #[test]
    fn typing_errors_are_found_at_every_depth() {
        let text = r#"{"log":"x","titel":{},"members":[{"keys":[{"use":"record","untill":"x"}]}],
            "rules":{"decision":[{"rol":"x"}]},"ext":{"own":1}}"#;
        let object = Object::parse(text).expect("test JSON");
        let found = unknown_members(Kind::Charter, &object);
        assert_eq!(found, ["titel", "members[0].keys[0].untill", "rules.decision[0].rol"]);
        let text = r#"{"changes":[{"action":"admit","member":"m","keys":[{"useful":1}]},
            {"action":"expel","member":"m","raeson":"r"},{"action":"promote","x":1}]}"#;
        let found = unknown_members(Kind::Membership, &Object::parse(text).expect("test JSON"));
        assert_eq!(found, ["changes[0].keys[0].useful", "changes[1].raeson"]);
    }
}
