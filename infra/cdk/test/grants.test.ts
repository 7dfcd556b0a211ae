import assert from "node:assert/strict";
import { test } from "node:test";

import { Stack, aws_iam as iam, aws_kms as kms } from "aws-cdk-lib";

import type { Seatrial, SeatrialProps } from "../lib";
import { FUNCTIONS } from "../lib/resources";
import { type Json, deployed, synthesized, written } from "./deployed";

/** The statements that a grant gives to a role that has nothing else. */
function granted(
  grant: (seatrial: Seatrial, role: iam.Role) => iam.Grant,
  props: (stack: Stack) => Partial<SeatrialProps> = () => ({}),
): Json[] {
  const { stack, seatrial } = deployed(props, { env: { account: "111111111111", region: "eu-central-1" } });
  const role = new iam.Role(stack, "Role", { assumedBy: new iam.ServicePrincipal("ec2.amazonaws.com") });
  grant(seatrial, role).assertSuccess();
  const policies: Json[] = Object.values(synthesized(stack).Resources).filter(
    (r: Json) => r.Type === "AWS::IAM::Policy",
  );
  assert.equal(policies.length, 1);
  return policies[0].Properties.PolicyDocument.Statement.map(readable);
}

/** A statement with its ARNs as text. */
function readable(statement: Json): Json {
  const text = (value: Json): Json => {
    if (Array.isArray(value)) return value.map(text);
    if (value?.["Fn::Join"]) return value["Fn::Join"][1].map(text).join("");
    if (value?.["Fn::GetAtt"]) return `<${[value["Fn::GetAtt"]].flat().join(".")}>`;
    return value?.Ref ? `<${value.Ref}>` : value;
  };
  return { ...statement, Resource: text(statement.Resource) };
}

const route = (api: string, path: string): string =>
  `arn:<AWS::Partition>:execute-api:eu-central-1:111111111111:<${api}>/$default/${path}`;
const allow = (Action: string | string[], Resource: string | string[], Condition?: Json): Json => ({
  Action,
  Effect: "Allow",
  Resource,
  ...(Condition && { Condition }),
});

/** What `seatrial connect` asks. */
const connect = allow(
  "cloudformation:DescribeStacks",
  "arn:<AWS::Partition>:cloudformation:eu-central-1:111111111111:stack/Seatrial/*",
);
/** What shows every model at once, and what may be asked of each model. */
const all = ["GET/v1/whoami", "GET/v1/models", "GET/v1/inventory", "GET/v1/models/*"];
const one = ["GET/v1/whoami", "GET/v1/models/adult-income", "GET/v1/models/adult-income/*"];
const control = (...paths: string[]): Json =>
  allow(
    "execute-api:Invoke",
    paths.map((path) => route("ControlApi", path)),
  );

const partitions = (...names: string[]): Json => ({
  "ForAllValues:StringLike": { "dynamodb:LeadingKeys": names },
});

test("who submits one model may upload there, announce it, and see what becomes of it", () => {
  assert.deepEqual(
    granted((seatrial, role) => seatrial.grantSubmit(role, { model: "adult-income" })),
    [
      allow("s3:PutObject", "<SubmissionsBucket.Arn>/submissions/adult-income/*"),
      control(...one, "POST/v1/models/adult-income/submissions"),
      connect,
    ],
  );
});

test("who submits any model may do the same with each", () => {
  assert.deepEqual(
    granted((seatrial, role) => seatrial.grantSubmit(role)),
    [
      allow("s3:PutObject", "<SubmissionsBucket.Arn>/submissions/*/*"),
      control(...all, "POST/v1/models/*/submissions"),
      connect,
    ],
  );
});

test("an application may ask one model and nothing of the operators", () => {
  assert.deepEqual(
    granted((seatrial, role) => seatrial.grantPredict(role, { model: "adult-income" })),
    [
      allow("execute-api:Invoke", [
        route("ServeApi", "GET/v2/models/adult-income"),
        route("ServeApi", "GET/v2/models/adult-income/*"),
        route("ServeApi", "POST/v2/models/adult-income/*"),
      ]),
    ],
  );
});

test("a server of your own reads its route and its packages, verifies them, and reports", () => {
  assert.deepEqual(
    granted((seatrial, role) => seatrial.grantObserve(role, { model: "adult-income" })),
    [
      allow("sqs:SendMessage", "<ObservationsQueue.Arn>"),
      allow("dynamodb:GetItem", "<Table.Arn>", {
        "ForAllValues:StringLike": { "dynamodb:LeadingKeys": ["MODEL#adult-income"] },
      }),
      allow("s3:GetObject", "<ModelsBucket.Arn>/adult-income/*"),
      allow("kms:GetPublicKey", "<SigningKey.Arn>"),
    ],
  );
});

test("who rolls back may do that and look", () => {
  assert.deepEqual(
    granted((seatrial, role) => seatrial.grantRollback(role)),
    [control(...all, "POST/v1/models/*/rollback"), connect],
  );
});

test("who rolls back without API and Lambda may write what a rollback writes, but no gate, and delete nothing", () => {
  assert.deepEqual(
    granted((seatrial, role) => seatrial.grantRollback(role, { model: "adult-income", direct: true })),
    [
      control(...one, "POST/v1/models/adult-income/rollback"),
      connect,
      allow(
        ["dynamodb:GetItem", "dynamodb:PutItem"],
        "<Table.Arn>",
        partitions("MODEL#adult-income", "HISTORY#adult-income"),
      ),
      allow("dynamodb:GetItem", "<Table.Arn>", partitions("TARGET#adult-income")),
      allow("dynamodb:Query", "<Table.Arn>", partitions("HISTORY#adult-income")),
    ],
  );
});

/** Every grant, as users call it. */
const GRANTS: ((seatrial: Seatrial, grantee: iam.IGrantable) => iam.Grant)[] = [
  (seatrial, grantee) => seatrial.grantSubmit(grantee),
  (seatrial, grantee) => seatrial.grantPredict(grantee),
  (seatrial, grantee) => seatrial.grantObserve(grantee),
  (seatrial, grantee) => seatrial.grantRollback(grantee, { direct: true }),
];

test("a principal of another account is refused, which could be given nothing, and so is one that takes no policy", () => {
  const { app, stack, seatrial } = deployed({}, { env: { account: "111111111111", region: "eu-central-1" } });
  const theirs = new Stack(app, "Theirs", { env: { account: "222222222222", region: "eu-central-1" } });
  const grantees: [iam.IGrantable, string][] = [
    [
      iam.Role.fromRoleArn(stack, "Ci", "arn:aws:iam::222222222222:role/ci"),
      "found Seatrial/Ci of the account 222222222222, expected a principal of this account, 111111111111: another account assumes",
    ],
    [
      iam.User.fromUserArn(stack, "Ann", "arn:aws:iam::222222222222:user/ann"),
      "found Seatrial/Ann of the account 222222222222",
    ],
    [
      new iam.Role(theirs, "Role", { assumedBy: new iam.AccountRootPrincipal() }),
      "found Theirs/Role of the account 222222222222",
    ],
    [new iam.AccountPrincipal("222222222222"), "of the account 222222222222"],
    [
      new iam.ArnPrincipal("arn:aws:iam::222222222222:role/ci"),
      "found ArnPrincipal(arn:aws:iam::222222222222:role/ci), which takes no policy, expected a role, user or group of this account",
    ],
    [
      new iam.ServicePrincipal("lambda.amazonaws.com"),
      "found ServicePrincipal(lambda.amazonaws.com), which takes no policy",
    ],
  ];
  for (const [grantee, error] of grantees) {
    for (const grant of GRANTS) {
      assert.throws(
        () => grant(seatrial, grantee),
        ({ message }: Error) =>
          (message.startsWith("Seatrial: grantee: ") && message.includes(error)) || assert.fail(message),
      );
    }
  }
});

test("an imported role of this account gets a policy, also where a stack does not say which account it is for", () => {
  for (const env of [{ account: "111111111111", region: "eu-central-1" }, {}]) {
    const { stack, seatrial } = deployed({}, { env });
    const roles = GRANTS.map((grant, index) => {
      const role = iam.Role.fromRoleArn(stack, `Ci${index}`, `arn:aws:iam::111111111111:role/ci-${index}`);
      grant(seatrial, role);
      return role.roleName;
    });
    const policies = Object.values<Json>(synthesized(stack).Resources).filter(
      ({ Type }) => Type === "AWS::IAM::Policy",
    );
    assert.deepEqual(policies.flatMap(({ Properties }) => Properties.Roles).sort(), roles);
  }
});

test("with a key of your own each also gets that key, through the services it needs and no other", () => {
  const key = (stack: Stack): Partial<SeatrialProps> => ({ encryptionKey: new kms.Key(stack, "Key") });
  const rights = (grant: (seatrial: Seatrial, role: iam.Role) => iam.Grant): Json[] =>
    granted(grant, key)
      .filter((statement) => String(statement.Resource).startsWith("<Key"))
      .map(({ Action, Condition }) => [[Action].flat(), [Condition.StringEquals["kms:ViaService"]].flat()]);
  const via = (...services: string[]): string[] =>
    services.map((service) => `${service}.eu-central-1.amazonaws.com`);
  assert.deepEqual(
    rights((seatrial, role) => seatrial.grantSubmit(role)),
    [[["kms:Decrypt", "kms:GenerateDataKey"], via("s3")]],
  );
  assert.deepEqual(
    rights((seatrial, role) => seatrial.grantObserve(role)),
    [
      [["kms:Decrypt"], via("dynamodb", "s3")],
      [["kms:Decrypt", "kms:GenerateDataKey"], via("sqs")],
    ],
  );
  assert.deepEqual(
    rights((seatrial, role) => seatrial.grantRollback(role)),
    [],
  );
  const written = [
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
  ];
  assert.deepEqual(
    rights((seatrial, role) => seatrial.grantRollback(role, { direct: true })),
    [[written, via("dynamodb")]],
  );
});

test("the key lets CloudWatch Logs and EventBridge use it for this stack, and nobody else without IAM", () => {
  const { stack } = deployed((stack) => ({ encryptionKey: new kms.Key(stack, "Key") }), {
    env: { account: "111111111111", region: "eu-central-1" },
  });
  const keys: Json[] = Object.entries(synthesized(stack).Resources)
    .filter(([name]) => name.startsWith("Key"))
    .map(([, key]) => key);
  const statements: Json[] = keys[0].Properties.KeyPolicy.Statement;
  assert.deepEqual(
    statements.map((s) => s.Principal.Service ?? "root of the account"),
    ["root of the account", "logs.eu-central-1.amazonaws.com", "events.amazonaws.com"],
  );
  for (const statement of statements.slice(1))
    assert.match(JSON.stringify(statement.Condition), /Seatrial-\*/);
});

test("what the construct holds are the template's own resources", () => {
  const { stack, seatrial } = deployed();
  const { buckets, table, queue, stateMachines, signingKey } = seatrial;
  const held = {
    queue: queue.queueArn,
    submissions: buckets.submissions.bucketArn,
    models: buckets.models.bucketArn,
    data: buckets.data.bucketArn,
    evidence: buckets.evidence.bucketArn,
    table: table.tableArn,
    key: signingKey.keyArn,
  };
  const names = {
    queue: "ObservationsQueue",
    submissions: "SubmissionsBucket",
    models: "ModelsBucket",
    data: "DataBucket",
    evidence: "EvidenceBucket",
    table: "Table",
    key: "SigningKey",
  };
  for (const [what, name] of Object.entries(names)) {
    assert.deepEqual(stack.resolve(held[what as keyof typeof held]), { "Fn::GetAtt": [name, "Arn"] }, what);
  }
  assert.deepEqual(stack.resolve(queue.queueUrl), { Ref: "ObservationsQueue" });
  assert.deepEqual(stack.resolve(stateMachines.promotion.stateMachineArn), { Ref: "PromotionStateMachine" });
  assert.deepEqual(stack.resolve(stateMachines.canary.stateMachineArn), { Ref: "CanaryStateMachine" });
  const aliases = FUNCTIONS.map((name) => stack.resolve(seatrial.function(name).functionArn).Ref);
  assert.deepEqual(
    aliases.sort(),
    // What is granted is the alias `live`; `entries` is a second name for the stream's sake.
    Object.keys(written().Resources)
      .filter((name) => name.endsWith("Alias") && written().Resources[name].Properties.Name === "live")
      .sort(),
  );
  assert.equal(seatrial.function("serve"), seatrial.function("serve"));
  for (const [name, api] of [
    ["serve", "ServeApi"],
    ["approvals", "ApprovalsApi"],
    ["control", "ControlApi"],
  ] as const) {
    assert.match(
      JSON.stringify(stack.resolve(seatrial.urls[name])),
      new RegExp(`https://\\$\\{${api}\\}\\.execute-api`),
    );
  }
});
