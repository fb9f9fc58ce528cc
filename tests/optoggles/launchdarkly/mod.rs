//! LaunchDarkly, as its own API document describes it.
