//! What must hold for every policy file. See `invariants` for how these are used.

use policy::{Features, Role, compile, source};
use policy_audit::load::parse;

/// A file that loads compiles, with and without its features, into programs the kernel takes, each
/// of whose calls has a reason; and it survives the translation that the processes read.
pub fn policy_file(data: &[u8]) {
    let Some((&[role, at, length], more)) = data.split_first_chunk::<3>() else { return };
    let role = Role::ALL[usize::from(role) % Role::ALL.len()];
    let Ok(more) = std::str::from_utf8(more) else { return };
    parsed(role, more);
    // A piece of the real file is exchanged for the input: most files that are nearly right are of
    // this form.
    let real = source(role);
    let scaled = |part: u8| real.len() * usize::from(part) / 256;
    let start = scaled(at);
    let end = (start + usize::from(length)).min(real.len());
    if let (Some(before), Some(after)) = (real.get(..start), real.get(end..)) {
        parsed(role, &format!("{before}{more}{after}"));
    }
}

fn parsed(role: Role, text: &str) {
    let Ok(policy) = parse(role, text) else { return };
    assert_eq!(policy.role, role);
    assert!(policy.syscalls.iter().all(|rule| rule.why.trim().len() >= 10));
    for features in [Features::NONE, Features::all()] {
        let Ok(programs) = compile::programs(&policy, features) else { continue };
        assert!(programs.iter().all(|program| !program.is_empty() && program.len() <= 4096));
        let names = compile::allowed_names(&policy, features);
        assert_eq!(names.len(), compile::allowed_count(&policy, features));
    }
    let mut bytes = Vec::new();
    ipc::codec::encode(&policy, &mut bytes).expect("a policy can be translated");
    let translated: policy::model::Policy = ipc::codec::decode(&bytes).expect("and read again");
    assert_eq!(format!("{translated:?}"), format!("{policy:?}"));
}

/// The name of a fuzz target, and its invariant.
pub type Named = (&'static str, fn(&[u8]));

/// By the name of its fuzz target.
pub const ALL: [Named; 1] = [("policy_file", policy_file)];
