//! Packing entries into messages. Pure.

use seatrial_evidence::observation::MESSAGE_BYTES;

/// Messages in one call to the queue.
pub const BATCH: usize = 10;
/// Bytes in one call: below the 256 KB that every engine takes.
pub const BATCH_BYTES: usize = 240_000;

/// JSON arrays of `entries` (JSON texts), in order, each shorter than [`MESSAGE_BYTES`] and with the number of its entries.
/// An entry that fits no message is given back instead.
#[must_use]
pub fn messages(entries: impl IntoIterator<Item = String>) -> (Vec<(String, u64)>, Vec<String>) {
    let (mut done, mut too_large) = (Vec::new(), Vec::new());
    let (mut open, mut count) = (String::new(), 0);
    for entry in entries {
        if !fits(entry.len()) {
            too_large.push(entry);
            continue;
        }
        // One byte for the comma and one for the closing bracket.
        if !open.is_empty() && open.len() + entry.len() + 2 >= MESSAGE_BYTES {
            open.push(']');
            done.push((std::mem::take(&mut open), count));
            count = 0;
        }
        open.push(if open.is_empty() { '[' } else { ',' });
        open.push_str(&entry);
        count += 1;
    }
    if !open.is_empty() {
        open.push(']');
        done.push((open, count));
    }
    (done, too_large)
}

/// Whether an entry of so many bytes fits a message of its own.
#[must_use]
pub const fn fits(bytes: usize) -> bool {
    bytes + 2 < MESSAGE_BYTES
}

/// How many of the first messages go into one call.
#[must_use]
pub fn batch(sizes: impl IntoIterator<Item = usize>) -> usize {
    let mut total = 0;
    let fitting = sizes.into_iter().take(BATCH).take_while(|size| {
        total += size;
        total <= BATCH_BYTES
    });
    fitting.count()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn nothing_is_lost_or_reordered_and_every_message_is_small(sizes in prop::collection::vec(1_usize..70_000, 0..40)) {
            let entries: Vec<String> = sizes.iter().map(|size| format!("\"{}\"", "x".repeat(*size))).collect();
            let (messages, too_large) = messages(entries.clone());
            prop_assert!(messages.iter().all(|(message, _)| message.len() < MESSAGE_BYTES));
            prop_assert_eq!(messages.iter().map(|(_, entries)| entries).sum::<u64>() as usize + too_large.len(), sizes.len());
            prop_assert!(too_large.iter().all(|entry| entry.len() + 2 >= MESSAGE_BYTES));
            let unpacked: Vec<String> = messages
                .iter()
                .flat_map(|(message, _)| serde_json::from_str::<Vec<Value>>(message).unwrap())
                .map(|value| value.to_string())
                .collect();
            let expected: Vec<String> = entries.into_iter().filter(|entry| fits(entry.len())).collect();
            prop_assert_eq!(unpacked, expected);
        }

        #[test]
        fn a_call_is_never_empty_and_never_too_large(sizes in prop::collection::vec(1_usize..MESSAGE_BYTES, 1..40)) {
            let count = batch(sizes.iter().copied());
            prop_assert!((1..=BATCH).contains(&count));
            prop_assert!(sizes[..count].iter().sum::<usize>() <= BATCH_BYTES);
        }
    }
}
