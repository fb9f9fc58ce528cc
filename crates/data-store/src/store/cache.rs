//! The responses for the identities that were read last, as many as fit into a bound.

use std::sync::Arc;

use lru::LruCache;

use super::Page;

/// How many bytes they have together.
const MAX_BYTES: usize = 64 << 20;

/// The longest response that is cached, in bytes: a longer one would take the place of many.
const MAX_PAGE: usize = 64 << 10;

/// About how many bytes an identity takes beside its name and its facts.
const OVERHEAD: usize = 512;

pub(super) struct Cache {
    pages: LruCache<String, Arc<Page>>,
    bytes: usize,
}

impl Default for Cache {
    fn default() -> Self {
        // What is stored is bounded by its bytes.
        Self { pages: LruCache::unbounded(), bytes: 0 }
    }
}

impl Cache {
    pub(super) fn get(&mut self, identity: &str) -> Option<&Arc<Page>> {
        self.pages.get(identity)
    }

    pub(super) fn put(&mut self, identity: String, page: &Arc<Page>) {
        if page.body.len() > MAX_PAGE {
            // One from before is out of date.
            if let Some((identity, before)) = self.pages.pop_entry(&identity) {
                self.bytes -= size(&identity, &before);
            }
            return;
        }
        self.bytes += size(&identity, page);
        // The one that it takes the place of.
        if let Some((identity, before)) = self.pages.push(identity, Arc::clone(page)) {
            self.bytes -= size(&identity, &before);
        }
        while self.bytes > MAX_BYTES
            && let Some((identity, oldest)) = self.pages.pop_lru()
        {
            self.bytes -= size(&identity, &oldest);
        }
    }
}

fn size(identity: &str, page: &Page) -> usize {
    identity.len() + page.body.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fact::Facts;

    fn page(length: usize) -> Arc<Page> {
        let facts = BTreeMap::from([("k".to_owned(), "v".repeat(length))]);
        Arc::new(Page::new(&Facts { facts, expires: None, sequence: 1 }))
    }

    #[test]
    fn the_identities_that_were_read_last_are_cached_as_far_as_they_fit() {
        let mut cache = Cache::default();
        let large = page(MAX_PAGE - 100);
        for number in 0..2_000 {
            cache.put(number.to_string(), &large);
            assert!(cache.bytes <= MAX_BYTES, "{}", cache.bytes);
            assert!(cache.get("0").is_some(), "it was read before each other");
        }
        assert!(cache.get("1").is_none() && cache.get("1999").is_some());
        assert!((1_000..=1_024).contains(&cache.pages.len()), "{}", cache.pages.len());
    }

    #[test]
    fn a_response_that_is_too_long_is_not_cached_and_forgets_the_one_before() {
        let mut cache = Cache::default();
        cache.put("a".to_owned(), &page(1));
        cache.put("a".to_owned(), &page(2));
        let length = cache.get("a").unwrap().body.len();
        assert_eq!(cache.bytes, length + 1 + OVERHEAD, "the first was replaced");
        cache.put("a".to_owned(), &page(MAX_PAGE));
        assert!(cache.get("a").is_none());
        assert_eq!(cache.bytes, 0);
    }
}
