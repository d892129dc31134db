-- Everybody considered is proposed once, and says what is to happen.
{{ broken_proposals(ref('queue_sms__just_silent_coupon')) }}
