//! Conditions and updates as DynamoDB's expressions, with every name and value as a placeholder.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{Attr, Cond, Item, Key};

type Names = HashMap<String, String>;
type Values = HashMap<String, AttributeValue>;

/// Collects the names and values of one request's expressions.
#[derive(Default)]
pub(super) struct Placeholders {
    pub(super) names: Names,
    pub(super) values: Values,
}

impl Placeholders {
    pub(super) fn name(&mut self, name: &str) -> String {
        let placeholder = format!("#{name}");
        self.names.insert(placeholder.clone(), name.to_owned());
        placeholder
    }

    pub(super) fn value(&mut self, value: &Attr) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), to_value(value));
        placeholder
    }

    /// The maps as the SDK takes them: absent rather than empty, which DynamoDB refuses.
    pub(super) fn into_maps(self) -> (Option<Names>, Option<Values>) {
        (Some(self.names).filter(|n| !n.is_empty()), Some(self.values).filter(|v| !v.is_empty()))
    }

    /// The condition as an expression; `None` when there is none.
    pub(super) fn condition(&mut self, condition: &Cond) -> Option<String> {
        match condition {
            Cond::Always => None,
            Cond::Absent => Some(format!("attribute_not_exists({})", self.name("pk"))),
            Cond::Exists => Some(format!("attribute_exists({})", self.name("pk"))),
            Cond::Eq(name, value) => Some(self.compare(name, "=", value)),
            Cond::Less(name, value) => Some(self.compare(name, "<", value)),
            Cond::Greater(name, value) => Some(self.compare(name, ">", value)),
            Cond::Missing(name) => Some(format!("attribute_not_exists({})", self.name(name))),
            Cond::All(all) => self.join(all, " AND "),
            Cond::Any(any) => self.join(any, " OR "),
        }
    }

    fn compare(&mut self, name: &str, operator: &str, value: &Attr) -> String {
        format!("{} {operator} {}", self.name(name), self.value(value))
    }

    fn join(&mut self, conditions: &[Cond], word: &str) -> Option<String> {
        let parts: Vec<String> =
            conditions.iter().filter_map(|c| self.condition(c)).map(|c| format!("({c})")).collect();
        (!parts.is_empty()).then(|| parts.join(word))
    }

    /// `SET` of these attributes; empty when there are none.
    pub(super) fn set(&mut self, item: &Item) -> String {
        let parts: Vec<String> =
            item.iter().map(|(name, value)| format!("{} = {}", self.name(name), self.value(value))).collect();
        if parts.is_empty() { String::new() } else { format!("SET {}", parts.join(", ")) }
    }
}

fn to_value(value: &Attr) -> AttributeValue {
    match value {
        Attr::S(text) => AttributeValue::S(text.clone()),
        Attr::N(number) => AttributeValue::N(number.to_string()),
        Attr::B(truth) => AttributeValue::Bool(*truth),
    }
}

/// The keys as DynamoDB's attributes.
pub(super) fn to_key(key: &Key) -> HashMap<String, AttributeValue> {
    let text = |t: &str| AttributeValue::S(t.to_owned());
    HashMap::from([("pk".to_owned(), text(&key.pk)), ("sk".to_owned(), text(&key.sk))])
}

/// The whole item as DynamoDB's attributes.
pub(super) fn to_item(key: &Key, item: &Item) -> HashMap<String, AttributeValue> {
    let mut attributes = to_key(key);
    attributes.extend(item.iter().map(|(name, value)| (name.clone(), to_value(value))));
    attributes
}

/// An item from DynamoDB's attributes. The keys and kinds of value that the registry never writes are left out.
pub(super) fn from_item(attributes: HashMap<String, AttributeValue>) -> Item {
    let value = |value| match value {
        AttributeValue::S(text) => Some(Attr::S(text)),
        AttributeValue::N(number) => number.parse().ok().map(Attr::N),
        AttributeValue::Bool(truth) => Some(Attr::B(truth)),
        _ => None,
    };
    attributes
        .into_iter()
        .filter(|(name, _)| name != "pk" && name != "sk")
        .filter_map(|(name, found)| Some((name, value(found)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_names_nothing_but_placeholders() {
        let mut placeholders = Placeholders::default();
        let condition = Cond::All(vec![
            Cond::Eq("status", Attr::S("approved".into())),
            Cond::Any(vec![Cond::Missing("used_at"), Cond::Less("n", Attr::N(3))]),
            Cond::Always,
        ]);
        let text = placeholders.condition(&condition);
        assert_eq!(
            text.as_deref(),
            Some("(#status = :v0) AND ((attribute_not_exists(#used_at)) OR (#n < :v1))")
        );
        assert_eq!(placeholders.names["#status"], "status");
        assert_eq!(placeholders.values[":v1"], AttributeValue::N("3".into()));
    }

    #[test]
    fn nothing_gives_no_expression_and_no_maps() {
        let mut placeholders = Placeholders::default();
        assert_eq!(placeholders.condition(&Cond::Always), None);
        assert_eq!(placeholders.condition(&Cond::All(vec![Cond::Always])), None);
        assert_eq!(placeholders.set(&Item::new()), "");
        assert_eq!(placeholders.into_maps(), (None, None));
    }

    #[test]
    fn an_item_comes_back_as_it_went() {
        let item: Item = [
            ("a".to_owned(), Attr::N(-7)),
            ("b".to_owned(), Attr::B(true)),
            ("c".to_owned(), Attr::S("ä".into())),
        ]
        .into();
        let key = Key { pk: "p".into(), sk: "s".into() };
        assert_eq!(from_item(to_item(&key, &item)), item);
    }
}
