//! Every whole-program test, in one binary: each module is a topic.

mod first_light;

use libtest_mimic::Arguments;

fn main() {
    let arguments = Arguments::from_args();
    let tests = [first_light::tests()].into_iter().flatten().collect();
    libtest_mimic::run(&arguments, tests).exit();
}
