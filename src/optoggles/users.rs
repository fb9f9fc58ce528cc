//! A compact, immutable set of user names.
//!
//! The engine keeps several sets for each toggle: what the policy says, and what each
//! target holds. A thousand toggles with ten thousand users each are ten million
//! names, so the sets are built for memory: one string with all names and one array
//! of their ends, shared by reference counting. The set `{al, bob}` is
//!
//! ```text
//! text  "albob"
//! ends  [2, 5]
//! ```
//!
//! A set cannot be changed, only replaced, because answers and lists always come
//! whole. Since the names are sorted, equality is a comparison of bytes, a lookup is
//! a binary search, and a difference is one pass over both sets.

use std::{cmp::Ordering, fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, SeqAccess, Visitor},
};

/// A sorted, immutable set of user names.
///
/// Cloning is cheap: clones share the names. A name costs its own bytes and four more,
/// instead of the 24 bytes and the allocation of a `String`.
///
/// Collect names into a set; their order does not matter, and duplicates are removed:
///
/// ```
/// use flagstaff::optoggles::Users;
///
/// let users: Users = ["bob", "alice", "bob"].into_iter().collect();
/// assert_eq!(users.iter().collect::<Vec<_>>(), ["alice", "bob"]);
/// assert!(users.contains("bob"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Users(Arc<Names>);

/// The names of a set. The empty name is allowed: it is one more equal end.
#[derive(PartialEq, Eq, Hash)]
struct Names {
    /// All names, sorted by their bytes, one after the other.
    text: Box<str>,
    /// Where each name ends in `text`, in bytes. Ascending; the last one is the length
    /// of the text.
    ends: Box<[u32]>,
}

impl Users {
    /// The number of users.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.ends.len()
    }

    /// Whether there are no users.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.ends.is_empty()
    }

    /// Iterates over the names, sorted by their bytes.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|index| self.name(index))
    }

    /// Whether the user is in the set. Takes time logarithmic in its size.
    #[must_use]
    pub fn contains(&self, user: &str) -> bool {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.name(middle).cmp(user) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return true,
            }
        }
        false
    }

    /// Returns the users that are not in `other`.
    ///
    /// ```
    /// use flagstaff::optoggles::Users;
    ///
    /// let before: Users = ["alice", "bob"].into_iter().collect();
    /// let after: Users = ["bob", "carol"].into_iter().collect();
    /// assert_eq!(before.without(&after), ["alice"].into_iter().collect());
    /// ```
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut others = other.iter().peekable();
        let is_left = |user: &&str| {
            while others.next_if(|other| *other < *user).is_some() {}
            others.peek() != Some(user)
        };
        Self::sorted(self.iter().filter(is_left))
    }

    /// Whether all of `other` are among them.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        let mut users = self.iter();
        Arc::ptr_eq(&self.0, &other.0) || other.iter().all(|user| users.any(|own| own == user))
    }

    /// Returns the users that are in this set or in `other`.
    ///
    /// # Panics
    ///
    /// When the names are longer than 4 GiB in all.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        self.iter().chain(other.iter()).collect()
    }

    /// The name at an index, which must be less than [`len`](Self::len).
    fn name(&self, index: usize) -> &str {
        let Names { text, ends } = &*self.0;
        let start = if index == 0 { 0 } else { ends[index - 1] };
        &text[start as usize..ends[index] as usize]
    }

    /// Builds the set from names that are sorted and distinct already.
    ///
    /// # Panics
    ///
    /// When the names are longer than 4 GiB in all, which `u32` ends cannot express.
    fn sorted<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let (mut text, mut ends) = (String::new(), Vec::new());
        for name in names {
            text.push_str(name);
            let end = u32::try_from(text.len());
            assert!(end.is_ok(), "the names of a set of users must not exceed 4 GiB");
            ends.extend(end);
        }
        Self(Arc::new(Names { text: text.into(), ends: ends.into() }))
    }
}

/// The empty set.
impl Default for Users {
    fn default() -> Self {
        Self::sorted(std::iter::empty())
    }
}

/// Sorts the names and removes duplicates.
///
/// # Panics
///
/// When the names are longer than 4 GiB in all.
impl<S: AsRef<str>> FromIterator<S> for Users {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_unstable_by(|a, b| a.as_ref().cmp(b.as_ref()));
        names.dedup_by(|a, b| a.as_ref() == b.as_ref());
        Self::sorted(names.iter().map(AsRef::as_ref))
    }
}

/// Shows how many users there are. Who they are does not belong in a log.
impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} users", self.len())
    }
}

/// Serializes the names as an array of strings, sorted by their bytes.
impl Serialize for Users {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// Deserializes an array of strings, in any order and with or without duplicates.
/// Anything else is an error.
///
/// OPA has no sets in JSON: it answers with an array.
///
/// ```
/// use flagstaff::optoggles::Users;
///
/// let users: Users = serde_json::from_str(r#"["bob", "alice", "bob"]"#)?;
/// assert_eq!(users.len(), 2);
/// # Ok::<(), serde_json::Error>(())
/// ```
impl<'de> Deserialize<'de> for Users {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(NamesVisitor)
    }
}

/// Reads names without an allocation for each.
struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Users;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of strings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Users, A::Error> {
        // The names go into one string here too. What is sorted is where each begins and ends,
        // so that ten thousand names cost a few allocations and not ten thousand.
        let (mut text, mut spans) = (String::new(), Vec::<(u32, u32)>::new());
        while let Some(name) = items.next_element::<std::borrow::Cow<'de, str>>()? {
            let place = |offset| u32::try_from(offset).map_err(|_| A::Error::custom("too long"));
            let start = place(text.len())?;
            text.push_str(&name);
            spans.push((start, place(text.len())?));
        }
        let name = |&(start, end): &(u32, u32)| &text[start as usize..end as usize];
        spans.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        spans.dedup_by(|a, b| name(a) == name(b));
        Ok(Users::sorted(spans.iter().map(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(names: &str) -> Users {
        names.split_whitespace().collect()
    }

    #[test]
    fn they_are_a_set() {
        let found: Users = serde_json::from_str(r#"["b", "a", "b", "\u00e9", ""]"#).unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), ["", "a", "b", "é"]);
        assert_eq!(found, ["é", "b", "", "a", "a"].into_iter().collect());
        assert!(found.contains("") && found.contains("é") && !found.contains("c"));
        assert!(!Users::default().contains(""));
        assert_eq!(format!("{found:?}"), "4 users");
    }

    #[test]
    fn names_are_told_from_their_neighbours() {
        assert_ne!(users("ab c"), users("a bc"));
        assert_ne!(users("abc"), users("ab c"));
    }

    #[test]
    fn differences() {
        assert_eq!(users("a b c d").without(&users("b d e")), users("a c"));
        assert_eq!(users("a b").without(&users("")), users("a b"));
        assert_eq!(users("a b").without(&users("a b c")), users(""));
        assert_eq!(users("b").with(&users("a c b")), users("a b c"));
        assert_eq!(users("b").with(&users("")), users("b"));
    }

    #[test]
    fn inclusion() {
        for (all, some) in [("a b c", "a c"), ("a", ""), ("", ""), ("a b", "a b")] {
            assert!(users(all).includes(&users(some)), "{all}: {some}");
        }
        for (all, some) in [("", "a"), ("a c", "b"), ("a c", "a b c"), ("b", "a b"), ("a", "a b")] {
            assert!(!users(all).includes(&users(some)), "{all}: {some}");
        }
        let clone = users("a b");
        assert!(clone.includes(&clone.clone()));
    }

    #[test]
    fn what_is_no_array_of_strings_is_an_error() {
        for text in ["1", "null", r#"{"a": true}"#, r#"["a", 1]"#, r#"["a", null]"#, r#"[["a"]]"#] {
            serde_json::from_str::<Users>(text).unwrap_err();
        }
    }
}
