"""Errors as servers send them that follow OpenAI's protocol in part: a status, a document, and the error of ours that it is."""

from __future__ import annotations

from typing import Any

from app.errors import UpstreamError, UpstreamUnavailable
from app.upstream.errors import ContextLengthExceeded, UpstreamBusy, UpstreamDenied, UpstreamOutOfQuota, UpstreamRefused

TOO_LONG_CODE = ContextLengthExceeded.code
CHINESE: list[tuple[int, Any, type[UpstreamError]]] = [
    (403, {"error": {"message": "用户额度不足, 剩余额度: ¥0.00", "type": "new_api_error", "code": "x"}}, UpstreamOutOfQuota),
    (403, {"error": {"message": "x", "code": "pre_consume_token_quota_failed"}}, UpstreamOutOfQuota),
    (401, {"error": {"message": "该令牌额度已用尽", "type": "one_api_error"}}, UpstreamOutOfQuota),
    (401, {"error": {"message": "无效的令牌", "type": "one_api_error"}}, UpstreamDenied),
    (429, {"error": {"message": "上游负载已饱和，请稍后再试", "type": "one_api_error"}}, UpstreamUnavailable),
    (400, {"error": {"message": "Access denied, good standing.", "code": "Arrearage"}}, UpstreamOutOfQuota),
    (403, {"code": "AllocationQuota.FreeTierOnly", "message": "The free tier has been exhausted."}, UpstreamOutOfQuota),
    (429, {"error": {"code": "1113", "message": "您的账户已欠费，请充值后重试"}}, UpstreamOutOfQuota),
    (429, {"error": {"code": "1302", "message": "您当前使用该API的并发数过高，或充值升级"}}, UpstreamUnavailable),
    (400, {"error": {"code": "1261", "message": "Prompt 超长"}}, ContextLengthExceeded),
    (400, {"error": {"code": "1301", "message": "可能包含不安全或敏感内容"}}, UpstreamRefused),
    (400, {"error": {"message": "输入的 token 数 9000 超过模型最大上下文 8192"}}, ContextLengthExceeded),
    (400, {"error": {"message": "请求参数 max_tokens 超过最大值 4096"}}, UpstreamRefused),
    (400, {"error": {"message": "“余额不足” 不是有效的取值"}}, UpstreamRefused),
    (403, {"error": {"code": "account_overdue", "type": "access_denied"}}, UpstreamOutOfQuota),
    (403, {"error": {"code": "AccountOverdueError", "type": "Forbidden"}}, UpstreamOutOfQuota),
    (400, {"success": False, "errors": [{"code": 5021, "message": "exceeded this model context window"}]}, ContextLengthExceeded),
]
IN_AN_ANSWER: list[tuple[Any, type[UpstreamError], str | None]] = [
    ({"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, UpstreamOutOfQuota, None),
    ({"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}}, UpstreamBusy, "1002"),
    ({"base_resp": {"status_code": 2013, "status_msg": "context window exceeds limit"}}, ContextLengthExceeded, TOO_LONG_CODE),
    ({"base_resp": {"status_code": 0, "status_msg": "try again later"}}, UpstreamError, None),
    ({"error_code": 336103, "error_msg": "the length of prompt exceeds the limit"}, ContextLengthExceeded, TOO_LONG_CODE),
    ({"error_code": 18, "error_msg": "Open api qps request limit reached"}, UpstreamBusy, "18"),
    ({"Response": {"Error": {"Code": "FailedOperation.ResourcePackExhausted", "Message": "x"}}}, UpstreamOutOfQuota, None),
    ({"Response": {"Error": {"Code": "Limit", "Message": "频率限制"}}}, UpstreamBusy, "Limit"),
    ({"code": 500, "msg": "404 NOT_FOUND", "success": False}, UpstreamUnavailable, None),
    ({"code": 401, "msg": "令牌已过期", "success": False}, UpstreamDenied, None),
    ({"header": {"code": 10013, "message": "input audit error"}}, UpstreamError, None),
]

IN_CHINESE: dict[str | None, str] = {
    "no_money": "账户欠费 帳戶欠費 请充值 請儲值 余额不足 餘額不足 额度已用尽 額度不足 预扣费失败 资源包已用尽",
    "too_long": "上下文超长 输入过长 輸入過長 提示词太长 消息超出限制 对话超限 输入的token数超过限制 prompt超长 超过模型上下文",
    None: "每分钟额度超限 每秒输入超限 请求频率超出额度 并发额度 限流额度 請求過多額度 操作频繁额度"
    " 内部错误 图片超过大小 max_tokens超过限制 “余额不足”无效",
}
