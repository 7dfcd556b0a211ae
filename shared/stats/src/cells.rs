//! Counts by names: maps whose keys are looked up by reference, so that only a name's first appearance allocates.

use std::collections::BTreeMap;

/// Counts by name.
pub(crate) type Counts = BTreeMap<String, u64>;

/// Changes the value of a key, made by default if the key is new. (The map's own entry takes an owned key every time.)
pub(crate) fn change<V: Default>(map: &mut BTreeMap<String, V>, key: &str, by: impl FnOnce(&mut V)) {
    if let Some(value) = map.get_mut(key) {
        by(value);
    } else {
        let mut value = V::default();
        by(&mut value);
        map.insert(key.to_owned(), value);
    }
}

/// Adds to a count.
pub(crate) fn add(counts: &mut Counts, key: &str, n: u64) {
    change(counts, key, |count| *count += n);
}
