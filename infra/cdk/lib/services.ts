import type { Stack, aws_kms, aws_s3 } from "aws-cdk-lib";
import { PolicyStatement, ServicePrincipal } from "aws-cdk-lib/aws-iam";

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
