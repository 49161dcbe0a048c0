//! `ACL` and the checks of rules, by requests.
