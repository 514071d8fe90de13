import { expect, it } from "vitest";
import { permissionPolicy } from "./permissionPolicy";

it("is an IAM policy with a statement for each capability", () => {
  const text = permissionPolicy([
    { kind: "ec2", permissions: [{ name: "volume_restore", actions: ["ec2:CreateVolume", "ebs:StartSnapshot"] }] },
  ]);
  expect(JSON.parse(text)).toEqual({
    Version: "2012-10-17",
    Statement: [{ Sid: "Ec2VolumeRestore", Effect: "Allow", Action: ["ebs:StartSnapshot", "ec2:CreateVolume"], Resource: "*" }],
  });
});
