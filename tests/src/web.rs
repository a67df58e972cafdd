//! HTTP as tests ask for it.

/// A client that hands out answers of every status. It goes straight to the address that it is
/// given: a proxy that the environment names would not find the ports of a test.
pub fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().proxy(None).http_status_as_error(false);
    config.build().into()
}

/// A value of a node's `/metrics`: of the line that begins with `name`.
///
/// # Panics
/// If there is no such line.
pub fn figure(http: &str, name: &str) -> u64 {
    let mut answer = agent().get(format!("{http}/metrics")).call().expect("an answer");
    let text = answer.body_mut().read_to_string().expect("text");
    let value = text.lines().find_map(|found| found.strip_prefix(name));
    value.unwrap_or_else(|| panic!("{name} in\n{text}")).trim().parse().expect("a number")
}
