import {
  Aspects,
  Reference,
  type Stack,
  Stage,
  Tokenization,
  type aws_iam,
  type aws_kms,
  type aws_s3,
} from "aws-cdk-lib";
import { PolicyStatement, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { type CfnTopicPolicy, type ITopic, TopicPolicy } from "aws-cdk-lib/aws-sns";
import type { IConstruct } from "constructs";

/**
 * Lets those services use the key that use it in nobody's name: CloudWatch Logs for the stack's log groups, EventBridge for events
 * that it could not deliver. An imported key keeps the policy it has.
 */
export function useKey(key: aws_kms.IKey, stack: Stack): void {
  const here = `${stack.region}:${stack.account}`;
  key.addToResourcePolicy(
    new PolicyStatement({
      principals: [new ServicePrincipal(`logs.${stack.region}.amazonaws.com`)],
      actions: ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
      resources: ["*"],
      conditions: {
        ArnLike: {
          "kms:EncryptionContext:aws:logs:arn": `arn:${stack.partition}:logs:${here}:log-group:/aws/*/${stack.stackName}-*`,
        },
      },
    }),
  );
  key.addToResourcePolicy(
    new PolicyStatement({
      principals: [new ServicePrincipal("events.amazonaws.com")],
      actions: ["kms:Decrypt", "kms:GenerateDataKey"],
      resources: ["*"],
      conditions: {
        StringEquals: { "aws:SourceAccount": stack.account },
        ArnLike: { "aws:SourceArn": `arn:${stack.partition}:events:${here}:rule/${stack.stackName}-*` },
      },
    }),
  );
}

/** Lets S3 write access logs of the stack's buckets. An imported bucket keeps the policy it has. */
export function writeLogs(bucket: aws_s3.IBucket, stack: Stack): void {
  bucket.addToResourcePolicy(
    new PolicyStatement({
      principals: [new ServicePrincipal("logging.s3.amazonaws.com")],
      actions: ["s3:PutObject"],
      resources: [bucket.arnForObjects(`${stack.stackName}/*`)],
      conditions: { StringEquals: { "aws:SourceAccount": stack.account } },
    }),
  );
}

/**
 * Lets CloudWatch tell a topic of the stack's alarms. A policy that is not the app's stays as it is, a topic's and a key's.
 *
 * SNS lets alarms of the account in only where a topic has no policy of its own. One that has refuses whom it does not name, and
 * nothing but the alarm's history shows it.
 */
export function takeAlarms(topic: ITopic, stack: Stack): void {
  const alarms = `arn:${stack.partition}:cloudwatch:${stack.region}:${stack.account}:alarm:${stack.stackName}-*`;
  const cloudwatch = new ServicePrincipal("cloudwatch.amazonaws.com");
  // Policies are asked for when all is said, for one may come later. None is made: it would shut out who may publish without it.
  Aspects.of(Stage.of(topic) ?? topic.node.root).add({
    visit: (node) => {
      if (!(node instanceof TopicPolicy) || !isOf(node, topic)) return;
      node.document.addStatements(
        new PolicyStatement({
          principals: [cloudwatch],
          actions: ["sns:Publish"],
          resources: [topic.topicArn],
          conditions: {
            StringEquals: { "aws:SourceAccount": stack.account },
            ArnLike: { "aws:SourceArn": alarms },
          },
        }),
      );
    },
  });
  // Without conditions, as AWS writes it: whose alarms they are the topic asks.
  topic.masterKey?.addToResourcePolicy(
    new PolicyStatement({
      principals: [cloudwatch],
      actions: ["kms:Decrypt", "kms:GenerateDataKey*"],
      resources: ["*"],
    }),
  );
}

/** Whether a policy is one of this topic, wherever it stands. */
function isOf(policy: TopicPolicy, topic: ITopic): boolean {
  const { topics } = policy.node.defaultChild as CfnTopicPolicy;
  return topics.some((arn) => {
    // What is imported is named by text. What the app makes is named by a reference, another one each time.
    const { firstToken } = Tokenization.reverseString(arn);
    const made = Reference.isReference(firstToken) && firstToken.target === topic.node.defaultChild;
    return made || arn === topic.topicArn;
  });
}

/** Lets `notify` use the key of a topic that it publishes to. To publish at all its role may by the template. */
export function sendNotices(key: aws_kms.IKey, role: aws_iam.IRole, notify: IConstruct, stack: Stack): void {
  const grant = key.grant(role, "kms:Decrypt", "kms:GenerateDataKey");
  for (const statement of grant.principalStatements) {
    statement.addCondition("StringEquals", { "kms:ViaService": `sns.${stack.region}.amazonaws.com` });
  }
  // What the key refuses is given up: a function that has the topic has the right.
  grant.applyBefore(notify);
}
