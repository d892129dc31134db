"""A tier program and a rule of points as a shop would write them."""

PROGRAM = """\
program: first
brand: demo
name: 会员等级
valid_from: 2017-10-01
members: buyers
measure: amount
currency: CNY
counts_from: paid
window_days: 365
validity_days: 365
margin_rate: 0.30
discounted_share: 0.60
tiers:
  - level: 1
    tier: ordinary
    name: 普通会员
    threshold: 0.01
    discount_permille: 1000
  - level: 2
    tier: senior
    name: 高级会员
    threshold: 1000.00
    discount_permille: 950
    benefits: [birthday_gift]
  - level: 3
    tier: vip
    name: VIP会员
    threshold: 3000.00
    discount_permille: 900
    benefits: [birthday_gift, extra_discount]
benefits:
  - benefit: birthday_gift
    name: 生日礼
    cost_amount: 8.00
    uses_per_order: 0.05
  - benefit: extra_discount
    name: 专享折上折
    cost_amount: 3.00
    uses_per_order: 0.20
    excluded_tags: [special, campaign]
    compensation: express
  - benefit: express
    name: 顺丰包邮
    cost_amount: 12.00
    uses_per_order: 0.10
"""

POINTS = """\
rule: base
brand: demo
valid_from: 2017-10-01
currency: CNY
earns: by_orders
expiry: computed
points_per_unit: 1
valid_days: 365
point_value: 0.01
redemption_rate: 0.80
expiring_days: 30
text: 确认收货后每消费1元积1分，一年有效
gift_max_orders: 2
gifts:
  - gift: bag
    name: 帆布袋
    points: 500
    cost_amount: 6.00
    valid_from: 2017-10-01
    stock: 200
  - gift: cup
    name: 马克杯
    points: 900
    cost_amount: 11.00
    valid_from: 2017-10-01
    valid_to: 2017-12-31
    min_level: 2
"""
