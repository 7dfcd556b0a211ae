// One program: loading the CDK takes longer than all tests together.

import "./template.test";
import "./refused.test";
import "./artifacts.test";
import "./lookups.test";
import "./topics.test";
import "./grants.test";
import "./checks.test";
import "./example.test";
