import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { Duration, NestedStack, Size, Stack, aws_ec2 as ec2, aws_s3 as s3 } from "aws-cdk-lib";

import { Artifacts, Seatrial, type SeatrialProps } from "../lib";
import { keys } from "../lib/artifacts";
import { deployed, quiet, zips } from "./deployed";

/** Properties, and what the error says of them. */
const REFUSED: [string, Partial<SeatrialProps>, string][] = [
  [
    "a retention that logs cannot have",
    { logs: { retention: 8 as never } },
    "logs.retention: found 8, expected one of 1, 3, 5,",
  ],
  [
    "a level that does not exist",
    { logs: { level: "loud" as never } },
    'logs.level: found "loud", expected one of error, warn, info, debug, trace',
  ],
  [
    "too little memory",
    { memory: { inference: Size.mebibytes(128) } },
    "memory.inference: found 128, expected at least 256",
  ],
  [
    "too much memory",
    { memory: { small: Size.gibibytes(11) } },
    "memory.small: found 11264, expected at most 10240",
  ],
  [
    "broken mebibytes",
    { memory: { small: Size.kibibytes(600_001) } },
    "memory.small: found 600001 KiB, expected whole mebibytes",
  ],
  [
    "half a day",
    { retention: { submissions: Duration.hours(36) } },
    "retention.submissions: found 1 day 12 hours, expected whole days",
  ],
  ["no day", { evidence: { lock: Duration.days(0) } }, "evidence.lock: found 0, expected at least 1"],
  [
    "a mode that locks nothing",
    { evidence: { lockMode: "NONE" as never } },
    'evidence.lockMode: found "NONE", expected one of GOVERNANCE, COMPLIANCE',
  ],
  [
    "no concurrency",
    { concurrency: { control: 0 } },
    "concurrency.control: found 0, expected a whole number from 1",
  ],
  [
    "a broken rate",
    { throttles: { serve: { rate: 1.5 } } },
    "throttles.serve.rate: found 1.5, expected a whole number from 1",
  ],
  [
    "an issuer without TLS",
    { approvals: { oidc: { issuer: "http://login.example.com", clientId: "web" } } },
    'approvals.oidc.issuer: found "http://login.example.com", expected an https address',
  ],
  [
    "an issuer whose tokens are for anybody",
    { approvals: { oidc: { issuer: "https://login.example.com" } } },
    "approvals.oidc: found neither audience nor clientId, expected one of them",
  ],
  [
    "a host that is two",
    { notices: { hosts: ["a.example.com,b.example.com"] } },
    'notices.hosts[0]: found "a.example.com,b.example.com", expected one entry, without a comma',
  ],
  [
    "a host with a path",
    { checkHosts: ["a.example.com/path"] },
    'checkHosts: found "a.example.com/path", expected hosts, separated by commas',
  ],
  [
    "a reference in text",
    { mailFrom: "${Table}@example.com" },
    'mailFrom: found "${Table}@example.com", expected text without `${`',
  ],
  [
    "a message that comes again too soon",
    { visibility: { shadow: Duration.minutes(5) } },
    "visibility.shadow: found 300 s, expected at least 720 s, six times the timeout of `replay`",
  ],
];

for (const [what, props, error] of REFUSED) {
  test(`${what} is refused`, () => {
    assert.throws(
      () => deployed(props),
      (thrown: Error) =>
        (thrown.message.startsWith("Seatrial: ") && thrown.message.includes(error)) ||
        assert.fail(thrown.message),
    );
  });
}

const refuses = (what: () => unknown, error: string): void =>
  assert.throws(what, (thrown: Error) => thrown.message.includes(error) || assert.fail(thrown.message));

test("zips that are missing are all named", () => {
  const folder = zips();
  for (const name of ["serve.zip", "crown.zip"]) rmSync(join(folder, name));
  refuses(
    () => deployed({ artifacts: Artifacts.fromDirectory(folder) }),
    `artifacts: found no crown.zip, serve.zip in ${folder}, expected one zip for each function`,
  );
});

test("keys that are missing, and keys for nothing, are named", () => {
  const given = Object.fromEntries(keys().map((key) => [key, `here/${key}`]));
  const from = (some: Record<string, string>) => () =>
    deployed((stack) => ({
      artifacts: Artifacts.fromBucket(s3.Bucket.fromBucketName(stack, "Bucket", "my-artifacts"), some),
    }));
  const { ServeKey: _, ...rest } = given;
  refuses(from(rest), "artifacts: found no key for ServeKey");
  refuses(from({ ...given, SreveKey: "x" }), "artifacts: found keys for SreveKey");
});

test("a second Seatrial in a stack is refused and told why", () => {
  const { stack } = deployed();
  refuses(
    () => new Seatrial(stack, "Second", { artifacts: Artifacts.fromDirectory(zips()) }),
    "Seatrial/Second: found Seatrial/Seatrial in the same stack, expected one Seatrial a stack",
  );
});

test("two stacks of one app may have one each", () => {
  const { app } = deployed();
  const stack = new Stack(app, "Other");
  assert.doesNotThrow(() => new Seatrial(stack, "Seatrial", { artifacts: Artifacts.fromDirectory(zips()) }));
});

test("a nested stack is refused: its name is too long for functions", () => {
  const nested = new NestedStack(new Stack(quiet(), "Outer"), "Inner");
  refuses(
    () => new Seatrial(nested, "Seatrial", { artifacts: Artifacts.fromDirectory(zips()) }),
    "found a nested stack, expected a stack of its own",
  );
});

test("a stack whose name is too long for its functions is refused", () => {
  assert.doesNotThrow(() => deployed({}, { stackName: "s".repeat(54) }));
  refuses(() => deployed({}, { stackName: "s".repeat(55) }), "expected at most 54 characters");
});

test("an emulator's identity is refused in a real account", () => {
  const emulator = { localIdentity: "local" };
  assert.doesNotThrow(() =>
    deployed({ emulator }, { env: { account: "000000000000", region: "us-east-1" } }),
  );
  refuses(
    () => deployed({ emulator }, { env: { account: "111111111111", region: "us-east-1" } }),
    "emulator: found the account 111111111111",
  );
});

test("a network without a security group or a subnet, or with a public one, is refused", () => {
  refuses(
    () => deployed((stack) => ({ network: { vpc: new ec2.Vpc(stack, "Vpc"), securityGroups: [] } })),
    "network.securityGroups: found none, expected at least one",
  );
  refuses(
    () =>
      deployed((stack) => {
        const vpc = new ec2.Vpc(stack, "Vpc");
        return {
          network: {
            vpc,
            subnets: { subnets: [] },
            securityGroups: [new ec2.SecurityGroup(stack, "Group", { vpc })],
          },
        };
      }),
    "network.subnets: found none that match, expected at least one",
  );
  refuses(
    () =>
      deployed((stack) => {
        const vpc = new ec2.Vpc(stack, "Vpc");
        const subnets = { subnetType: ec2.SubnetType.PUBLIC };
        return {
          network: { vpc, subnets, securityGroups: [new ec2.SecurityGroup(stack, "Group", { vpc })] },
        };
      }),
    "network.subnets: found public ones, expected private ones",
  );
});

test("a name that no model can have is refused", () => {
  const { seatrial, stack } = deployed();
  for (const model of ["", "*", "Credit", "a/b", "1st", "m".repeat(64)]) {
    refuses(
      () =>
        seatrial.grantSubmit(
          new (class {
            grantPrincipal = stack as never;
          })(),
          { model },
        ),
      `model: found ${JSON.stringify(model)}, expected lower-case letters`,
    );
  }
});
