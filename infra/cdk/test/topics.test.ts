import assert from "node:assert/strict";
import { test } from "node:test";

import { Stack, aws_iam as iam, aws_kms as kms, aws_sns as sns } from "aws-cdk-lib";

import { type Json, deployed, quiet, synthesized } from "./deployed";
import { admits, lends, named, policies, refusals } from "./alarms";

const env = { account: "111111111111", region: "eu-central-1" };

/** A stack whose alarms go to a topic, as JSON. */
function alarmed(
  topic: (stack: Stack) => sns.ITopic,
  then: (topic: sns.ITopic, stack: Stack) => void = () => {},
) {
  const { stack } = deployed((stack) => ({ alarmTopic: topic(stack) }), { env });
  then(stack.node.findChild("Alarms") as sns.Topic, stack);
  return synthesized(stack).Resources;
}

const closed = (stack: Stack): sns.Topic => new sns.Topic(stack, "Alarms", { enforceSSL: true });
const plain = (stack: Stack): sns.Topic => new sns.Topic(stack, "Alarms");

test("a topic of alarms that has a policy lets the stack's alarms in, whenever and wherever it got one", () => {
  const budgets = (topic: sns.ITopic) =>
    new iam.PolicyStatement({
      principals: [new iam.ServicePrincipal("budgets.amazonaws.com")],
      actions: ["sns:Publish"],
      resources: [topic.topicArn],
    });
  const made = [
    alarmed(closed),
    alarmed(plain, (topic) => topic.addToResourcePolicy(budgets(topic))),
    alarmed(
      plain,
      (topic, stack) => new sns.TopicPolicy(stack, "Own", { topics: [topic], enforceSSL: true }),
    ),
  ];
  for (const resources of made) {
    const [topic] = named(resources);
    assert.ok(topic);
    assert.equal(policies(resources, topic).length, 1);
    assert.deepEqual(refusals(resources, "Seatrial"), []);
  }
});

test("a topic of alarms without a policy is given none, which would shut out whom SNS lets in without", () => {
  const resources = alarmed(plain);
  assert.equal(named(resources).length, 1);
  assert.deepEqual(policies(resources, named(resources)[0] ?? ""), []);
});

test("a topic of another stack lets the alarms in, and no other topic does", () => {
  const app = quiet();
  const [ours, others] = ["Ours", "Others"].map((id) => closed(new Stack(app, id, { env })));
  assert.ok(ours && others);
  deployed({ alarmTopic: ours }, { env, app });
  const own = (topic: sns.Topic): Json[] => {
    const name = topic.stack.resolve(topic.topicArn).Ref;
    const [statements] = policies(synthesized(topic.stack).Resources, name);
    return statements.map((s: Json) => (admits(s, name, "Seatrial") ? "the alarms" : s.Sid));
  };
  assert.deepEqual(own(ours), ["AllowPublishThroughSSLOnly", "the alarms"]);
  assert.deepEqual(own(others), ["AllowPublishThroughSSLOnly"]);
});

test("the key of a topic of alarms lets CloudWatch use it, by its alias too", () => {
  const encrypted = (key: (stack: Stack) => kms.IKey) => (stack: Stack) =>
    new sns.Topic(stack, "Alarms", { masterKey: key(stack) });
  const key = (stack: Stack): kms.Key => new kms.Key(stack, "Key");
  for (const resources of [
    alarmed(encrypted(key)),
    alarmed(encrypted((stack) => key(stack).addAlias("alarms"))),
  ]) {
    const keys = Object.keys(resources).filter((name) => /^Key[0-9A-F]{8}$/.test(name));
    assert.deepEqual(
      keys.map((name) => lends(resources[name])),
      [true],
    );
  }
});

test("an imported topic of alarms stays as it is, but for a policy that the app gives it", () => {
  const imported = (stack: Stack): sns.ITopic =>
    sns.Topic.fromTopicArn(stack, "Alarms", "arn:aws:sns:eu-central-1:111111111111:oncall");
  const given = alarmed(
    imported,
    (topic, stack) => new sns.TopicPolicy(stack, "Own", { topics: [topic], enforceSSL: true }),
  );
  const [{ Properties }]: Json[] = Object.values<Json>(given).filter(
    ({ Type }) => Type === "AWS::SNS::TopicPolicy",
  );
  assert.deepEqual(
    Properties.PolicyDocument.Statement.map(({ Effect }: Json) => Effect),
    ["Deny", "Allow"],
  );
  const { stack } = deployed(
    (stack) => ({
      alarmTopic: sns.Topic.fromTopicAttributes(stack, "Alarms", {
        topicArn: "arn:aws:sns:eu-central-1:111111111111:oncall",
        keyArn: "arn:aws:kms:eu-central-1:111111111111:key/1234abcd-12ab",
      }),
    }),
    { env },
  );
  const types = Object.values<Json>(synthesized(stack).Resources).map(({ Type }) => Type);
  assert.ok(!types.includes("AWS::SNS::TopicPolicy"));
  assert.equal(types.filter((type) => type === "AWS::KMS::Key").length, 1, "the one that signs");
});

/** What the role of `notify` is given beside the template, and whether the function waits for it. */
function sent(topic: (stack: Stack) => sns.ITopic): Json {
  const { stack } = deployed((stack) => ({ notices: { topic: topic(stack) } }), { env });
  const { Resources } = synthesized(stack);
  const given = Object.keys(Resources).filter((name) => Resources[name].Type === "AWS::IAM::Policy");
  return {
    given: given.flatMap((name) => Resources[name].Properties.PolicyDocument.Statement),
    to: given.flatMap((name) => Resources[name].Properties.Roles),
    first: given.every((name) => [Resources.NotifyFunction.DependsOn].flat().includes(name)),
  };
}

test("`notify` may use the key of the topic of notices, through SNS alone, before it is given the topic", () => {
  const may = (Resource: Json): Json => ({
    given: [
      {
        Action: ["kms:Decrypt", "kms:GenerateDataKey"],
        Effect: "Allow",
        Resource,
        Condition: { StringEquals: { "kms:ViaService": "sns.eu-central-1.amazonaws.com" } },
      },
    ],
    to: [{ Ref: "NotifyRole" }],
    first: true,
  });
  const encrypted = (stack: Stack, masterKey: kms.IKey) => new sns.Topic(stack, "Notices", { masterKey });
  const found = sent((stack) => encrypted(stack, new kms.Key(stack, "Key")));
  assert.deepEqual(found, may({ "Fn::GetAtt": [found.given[0].Resource["Fn::GetAtt"][0], "Arn"] }));
  assert.match(found.given[0].Resource["Fn::GetAtt"][0], /^Key/);
  const keyArn = "arn:aws:kms:eu-central-1:111111111111:key/1234abcd-12ab";
  const topicArn = "arn:aws:sns:eu-central-1:111111111111:notices";
  assert.deepEqual(
    sent((stack) => sns.Topic.fromTopicAttributes(stack, "Notices", { topicArn, keyArn })),
    may(keyArn),
  );
  assert.deepEqual(
    sent((stack) => encrypted(stack, new kms.Key(stack, "Key").addAlias("notices"))),
    may(found.given[0].Resource),
  );
});

test("`notify` is given nothing for a topic without a key of its own", () => {
  assert.deepEqual(sent((stack) => new sns.Topic(stack, "Notices", { enforceSSL: true })).given, []);
});
