//! What is wrong with a policy file is an error that names it.

use policy::{Role, source};
use policy_audit::load::{PolicyError, parse};

#[test]
fn what_is_not_right_does_not_load() {
    let gate = source(Role::Gate);
    let refused = |text: String, fragment: &str| {
        let error = parse(Role::Gate, &text).unwrap_err().to_string();
        assert!(error.contains(fragment), "{error}");
    };
    refused(gate.replacen("why = \"the control connection\"\n", "", 1), "missing field `why`");
    refused(gate.replacen("\"the control connection\"", "\"\"", 1), "says nothing");
    refused(gate.replacen("why =", "whence =", 1), "unknown field");
    refused(gate.replacen("name = \"read\"", "name = \"raed\"", 1), "no such system call");
    refused(gate.replacen("name = \"read\"", "name = \"write\"", 1), "listed twice");
    refused(gate.replacen("PROT_EXEC", "PROT_EXCE", 1), "PROT_EXCE");
    refused(gate.replacen("without =", "is = [\"1\"], only =", 1), "exactly one of");
    refused(gate.replacen("answer = \"trap\"", "answer = \"EPERM\"", 1), "answers with trap");
    refused(gate.replacen("name = \"exit_group\"", "name = \"exit\"", 1), "last words");
    refused(gate.replacen("style = \"allow\"", "style = \"log\"", 1), "style");
    assert!(matches!(parse(Role::Relay, gate), Err(PolicyError::Rule { role: Role::Relay, .. })));
}
