import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import {
  Duration,
  Size,
  Stack,
  aws_ec2 as ec2,
  aws_iam as iam,
  aws_kms as kms,
  aws_lambda as lambda,
  aws_logs as logs,
  aws_s3 as s3,
  aws_sns as sns,
} from "aws-cdk-lib";

import { Artifacts, type SeatrialProps } from "../lib";
import { BUCKET, keys } from "../lib/artifacts";
import { SOURCES } from "../lib/parameters";
import { DIGEST } from "../lib/versions";
import { declared } from "../lib/template";
import { ANSWERED } from "../lib/wishes";
import { type Json, defaults, deployed, filled, synthesized, texts, written, zips } from "./deployed";

/** Every property at another value than its default, none of them a reference. */
const everything: Omit<SeatrialProps, "artifacts" | "network" | "encryptionKey" | "accessLogs"> = {
  architecture: lambda.Architecture.ARM_64,
  memory: { small: Size.mebibytes(256), package: Size.gibibytes(2), inference: Size.mebibytes(3538) },
  logs: { level: "debug", retention: logs.RetentionDays.ONE_WEEK },
  mailFrom: "ml@example.com",
  notices: { hosts: ["hooks.example.com", "example.org:8443"] },
  targets: {
    endpoints: ["arn:aws:sagemaker:eu-west-1:111111111111:endpoint/fraud"],
    hosts: ["mesh.example.com"],
  },
  approvals: {
    baseUrl: "https://approvals.example.com",
    oidc: { issuer: "https://login.example.com", audience: "api", clientId: "web", identity: "subject" },
  },
  platformOwners: ["arn:aws:iam::111111111111:user/ann", "AROAEXAMPLE"],
  checkHosts: ["checks.example.com"],
  remote: {
    models: [
      "arn:aws:lambda:eu-west-1:111111111111:function:scorer:*",
      "arn:aws:iam::111111111111:role/seatrial-credit",
    ],
    hosts: ["models.example.com"],
  },
  trainingArtifacts: ["arn:aws:s3:::training/models/*", "arn:aws:s3:::other/*"],
  evidence: { lockMode: s3.ObjectLockMode.COMPLIANCE, lock: Duration.days(3650) },
  retention: { submissions: Duration.days(7), observations: Duration.days(90) },
  deletionProtection: false,
  visibility: {
    observations: Duration.minutes(4),
    shadow: Duration.minutes(13),
    notices: Duration.minutes(5),
    targets: Duration.minutes(6),
  },
  concurrency: { control: 1, rollback: 2, reconcile: 5, answer: 6, approvals: 3, serve: 4 },
  throttles: {
    serve: { rate: 5, burst: 6 },
    approvals: { rate: 7, burst: 8 },
    control: { rate: 9, burst: 10 },
  },
  emulator: { localIdentity: "local", apiAddress: "http://127.0.0.1:4566/_aws/execute-api/{api}/$default" },
};
/** The same as parameters. */
const EVERYTHING = {
  Architecture: "arm64",
  MemorySmall: 256,
  MemoryPackage: 2048,
  MemoryInference: 3538,
  LogLevel: "debug",
  LogRetentionDays: 7,
  MailFrom: "ml@example.com",
  NotifyHosts: "hooks.example.com,example.org:8443",
  TargetEndpoints: "arn:aws:sagemaker:eu-west-1:111111111111:endpoint/fraud",
  TargetHosts: "mesh.example.com",
  ApprovalsBaseUrl: "https://approvals.example.com",
  OidcIssuer: "https://login.example.com",
  OidcAudience: "api",
  OidcClientId: "web",
  OidcIdentity: "subject",
  PlatformOwners: "arn:aws:iam::111111111111:user/ann,AROAEXAMPLE",
  CheckHosts: "checks.example.com",
  RemoteModels:
    "arn:aws:lambda:eu-west-1:111111111111:function:scorer:*,arn:aws:iam::111111111111:role/seatrial-credit",
  RemoteHosts: "models.example.com",
  TrainingArtifacts: "arn:aws:s3:::training/models/*,arn:aws:s3:::other/*",
  ObjectLockMode: "COMPLIANCE",
  ObjectLockDays: 3650,
  SubmissionDays: 7,
  ObservationDays: 90,
  DeletionProtection: "false",
  ObservationsVisibility: 240,
  ShadowVisibility: 780,
  NoticesVisibility: 300,
  TargetsVisibility: 360,
  ControlConcurrency: 1,
  RollbackConcurrency: 2,
  ReconcileConcurrency: 5,
  AnswerConcurrency: 6,
  ApprovalsConcurrency: 3,
  ServeConcurrency: 4,
  ServeRate: 5,
  ServeBurst: 6,
  ApprovalsRate: 7,
  ApprovalsBurst: 8,
  ControlRate: 9,
  ControlBurst: 10,
  LocalIdentity: "local",
  ApiAddress: "http://127.0.0.1:4566/_aws/execute-api/{api}/$default",
};
/** What is handed in as a construct, so that its value is a reference. */
const REFERENCES = [
  "AlarmTopicArn",
  "NotifyTopicArn",
  "TrainingKeys",
  "TargetFunctions",
  "TargetRoles",
  "AccessLogsBucket",
  "VpcSubnetIds",
  "VpcSecurityGroupIds",
  "EncryptionKeyArn",
];

function references(stack: Stack): Partial<SeatrialProps> {
  const vpc = new ec2.Vpc(stack, "Vpc", { maxAzs: 2 });
  return {
    ...everything,
    alarmTopic: new sns.Topic(stack, "Alarms"),
    notices: { ...everything.notices, topic: new sns.Topic(stack, "Notices") },
    trainingKeys: [
      new kms.Key(stack, "Training"),
      kms.Key.fromKeyArn(stack, "Theirs", "arn:aws:kms:eu-west-1:222222222222:key/1234abcd-12ab"),
    ],
    targets: {
      ...everything.targets,
      functions: [lambda.Function.fromFunctionName(stack, "Fraud", "fraud")],
      roles: [new iam.Role(stack, "Mover", { assumedBy: new iam.AccountRootPrincipal() })],
    },
    network: { vpc, securityGroups: [new ec2.SecurityGroup(stack, "Functions", { vpc })] },
    encryptionKey: new kms.Key(stack, "Key"),
    accessLogs: new s3.Bucket(stack, "Logs"),
  };
}

/** The resources that the template has, of a synthesized stack. */
const ours = (resources: Json): Json => {
  const names = Object.keys(written().Resources);
  return Object.fromEntries(Object.entries(resources).filter(([name]) => names.includes(name)));
};

test("every parameter of the template is reachable from a property, and no property leads nowhere", () => {
  const covered = [BUCKET, DIGEST, ...keys(), ...Object.keys(SOURCES)].sort();
  assert.deepEqual(covered, [...declared().keys()].sort());
  assert.deepEqual(
    [...Object.keys(EVERYTHING), ...REFERENCES].sort(),
    Object.keys(SOURCES).sort(),
    "the tests below reach every one",
  );
});

test("with nothing but artifacts the resources are those of the template with its defaults", () => {
  const { stack } = deployed();
  const template = synthesized(stack);
  const artifacts = Object.fromEntries([BUCKET, ...keys()].map((name) => [name, artifact(template, name)]));
  const wanted = filled(written().Resources, { ...defaults(), ...artifacts });
  assert.deepEqual(Object.keys(template.Resources).sort(), Object.keys(wanted).sort(), "nothing beside it");
  for (const name of Object.keys(wanted))
    assert.deepEqual(texts(template.Resources[name]), texts(wanted[name]), name);
  assert.deepEqual(
    Object.keys(template.Parameters),
    ["BootstrapVersion"],
    "no parameter is left that a deployment would keep",
  );
});

/** The value of an artifact's parameter where the synthesized template has it. */
function artifact(template: Json, name: string): Json {
  if (name === BUCKET) return template.Resources.ServeFunction.Properties.Code.S3Bucket;
  const resource = name.replace(/(Asl)?Key$/, "");
  return name.endsWith("AslKey")
    ? template.Resources[`${resource}StateMachine`].Properties.DefinitionS3Location.Key
    : template.Resources[`${resource}Function`].Properties.Code.S3Key;
}

test("outputs keep the names that `seatrial connect` looks for", () => {
  const { stack } = deployed();
  const outputs = synthesized(stack).Outputs;
  assert.deepEqual(outputs, filled(written().Outputs, defaults()));
  for (const name of [
    "ServeUrl",
    "ApprovalsUrl",
    "ControlUrl",
    "TableName",
    "SubmissionsBucket",
    "SigningKeyArn",
  ]) {
    assert.ok(outputs[name], name);
  }
});

test("every property arrives in every place of its parameter", () => {
  const { stack } = deployed(everything);
  const template = synthesized(stack);
  const artifacts = Object.fromEntries([BUCKET, ...keys()].map((name) => [name, artifact(template, name)]));
  const wanted = filled(written().Resources, { ...defaults(), ...EVERYTHING, ...artifacts });
  const found = ours(template.Resources);
  for (const name of Object.keys(wanted)) {
    if (wanted[name].Type !== "AWS::Lambda::Version")
      assert.deepEqual(texts(found[name]), texts(wanted[name]), name);
  }
});

test("a value that is known only when deployed arrives where it is used and in no condition", () => {
  const { stack } = deployed(references);
  const template = synthesized(stack);
  const decided = JSON.stringify([template.Conditions, template.Rules]);
  assert.ok(
    !/Fn::GetAtt|Fn::Join|"Ref":"(?!AWS::)[^B]/.test(decided),
    `conditions are decided before there are resources: ${decided}`,
  );
  for (const name of [
    "HasAlarmTopic",
    "HasNotifyTopic",
    "HasTrainingKeys",
    "HasEncryptionKey",
    "HasAccessLogs",
  ]) {
    assert.deepEqual(template.Conditions[name], { "Fn::Not": [{ "Fn::Equals": ["given", ""] }] }, name);
  }
  const { ServeFunction, NotifyFunction, ServeErrorsAlarm, EvidenceBucket, Table, ObservationsQueue } =
    template.Resources;
  const topic = (name: string): Json =>
    Object.keys(template.Resources).find(
      (id) => id.startsWith(name) && template.Resources[id].Type === "AWS::SNS::Topic",
    );
  const arn = (id: Json): Json => ({ Ref: id });
  assert.deepEqual(ServeErrorsAlarm.Properties.AlarmActions["Fn::If"][1], [arn(topic("Alarms"))]);
  assert.deepEqual(
    NotifyFunction.Properties.Environment.Variables.SEATRIAL_NOTIFY_TOPIC["Fn::If"][1],
    arn(topic("Notices")),
  );
  const [condition, network] = ServeFunction.Properties.VpcConfig["Fn::If"];
  assert.equal(condition, "HasVpc");
  assert.equal(network.SubnetIds["Fn::Split"][1]["Fn::Join"][1].length, 3, "two private subnets and a comma");
  assert.ok(network.SecurityGroupIds["Fn::Split"][1]["Fn::GetAtt"]);
  for (const role of ["IntakeRole", "PackageRole"]) {
    const { Statement } = template.Resources[role].Properties.Policies[0].PolicyDocument;
    const [, opens] = Statement.find((one: Json) => one["Fn::If"]?.[0] === "HasTrainingKeys")["Fn::If"];
    const keys = opens.Resource["Fn::Split"][1]["Fn::Join"][1];
    assert.ok(keys[0]["Fn::GetAtt"][0].startsWith("Training"), role);
    assert.match(keys[1], /^,arn:aws:kms:eu-west-1:222222222222:key\//, role);
  }
  const key =
    EvidenceBucket.Properties.BucketEncryption.ServerSideEncryptionConfiguration[0]
      .ServerSideEncryptionByDefault.KMSMasterKeyID["Fn::If"][1];
  assert.ok(key["Fn::GetAtt"][0].startsWith("Key"));
  assert.deepEqual(Table.Properties.SSESpecification.KMSMasterKeyId["Fn::If"][1], key);
  assert.deepEqual(ObservationsQueue.Properties.KmsMasterKeyId["Fn::If"][1], key);
  assert.ok(
    EvidenceBucket.Properties.LoggingConfiguration["Fn::If"][1].DestinationBucketName.Ref.startsWith("Logs"),
  );
});

test("rules that were answered go, and no other rule would", () => {
  assert.deepEqual(
    Object.keys(written().Rules)
      .filter((rule) => rule !== "CheckBootstrapVersion")
      .sort(),
    [...ANSWERED].sort(),
  );
  assert.deepEqual(Object.keys(synthesized(deployed().stack).Rules), ["CheckBootstrapVersion"]);
});

test("a version's description changes with whatever configures it and never gets too long for Lambda", () => {
  const description = (props: Partial<SeatrialProps>, name: string): Json =>
    synthesized(deployed(props).stack).Resources[`${name}Version`].Properties.Description;
  const shown = (found: Json): string => {
    const own = found["Fn::If"]?.[2] ?? found;
    return own["Fn::Sub"] ?? own;
  };
  const plain = shown(description({}, "Notify"));
  assert.match(plain, /^[0-9a-f]{64}\.zip x86_64 512 info /, "readable where it fits");
  const hosts = (last: string): string[] => [
    ...Array.from({ length: 12 }, (_, n) => `hooks-${n}.department.example.com`),
    last,
  ];
  const one = shown(description({ notices: { hosts: hosts("a.example.com") } }, "Notify"));
  const other = shown(description({ notices: { hosts: hosts("b.example.com") } }, "Notify"));
  for (const text of [plain, one, other]) assert.ok(text.length <= 256, text);
  assert.match(one, /^[0-9a-f]{32}$/);
  assert.notEqual(one, other);
  const { stack } = deployed(references);
  const { Description } = synthesized(stack).Resources.NotifyVersion.Properties;
  assert.match(Description["Fn::Join"][1][0], /^[0-9a-f]{32}$/);
  assert.ok(
    JSON.stringify(Description).includes("Notices"),
    "what is known only when deployed is in it by itself",
  );
});

test("a version's description changes only with its function, of which Lambda would publish no version else", () => {
  const hosts = (last: string): string[] => [
    ...Array.from({ length: 12 }, (_, n) => `hooks-${n}.department.example.com`),
    last,
  ];
  const folder = zips();
  const of = (last: string): Json =>
    synthesized(
      deployed({ artifacts: Artifacts.fromDirectory(folder), notices: { hosts: hosts(last) } }).stack,
    ).Resources;
  const [one, other] = [of("a.example.com"), of("b.example.com")];
  const changed = (kind: string): string[] =>
    Object.keys(one).filter(
      (name) =>
        one[name].Type === `AWS::Lambda::${kind}` &&
        JSON.stringify(one[name]) !== JSON.stringify(other[name]),
    );
  assert.deepEqual(changed("Version"), ["NotifyVersion"]);
  assert.deepEqual(changed("Function"), ["NotifyFunction"]);
  const [condition, , sentence] = one.NotifyFunction.Properties.Description["Fn::If"];
  assert.equal(condition, "HasConfigurationDigest");
  assert.match(sentence, /^Tells people and machines what happened\.$/);
});

test("the same zips give the same keys, and other zips others", () => {
  const key = (folder: string): string =>
    synthesized(deployed({ artifacts: Artifacts.fromDirectory(folder) }).stack).Resources.ServeFunction
      .Properties.Code.S3Key;
  const [one, again, other] = [zips(), zips(), zips("another zip")].map(key);
  assert.equal(one, again);
  assert.notEqual(one, other);
});

test("artifacts that were uploaded by other means are taken by their keys, and nothing is uploaded", () => {
  const given = Object.fromEntries(keys().map((key) => [key, `here/${key}`]));
  const { app, stack } = deployed((stack) => ({
    artifacts: Artifacts.fromBucket(s3.Bucket.fromBucketName(stack, "Bucket", "my-artifacts"), given),
  }));
  const { ServeFunction, PromotionStateMachine } = synthesized(stack).Resources;
  assert.deepEqual(ServeFunction.Properties.Code, { S3Bucket: "my-artifacts", S3Key: "here/ServeKey" });
  assert.deepEqual(PromotionStateMachine.Properties.DefinitionS3Location, {
    Bucket: "my-artifacts",
    Key: "here/PromotionAslKey",
  });
  const { files } = JSON.parse(readFileSync(join(app.synth().directory, "Seatrial.assets.json"), "utf8"));
  assert.equal(Object.keys(files).length, 1, "the stack's own template");
});
