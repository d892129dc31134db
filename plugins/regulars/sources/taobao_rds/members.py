"""Members that the platform documents and that nobody here reads.

A pushed row is the platform's whole answer, where the open platform gives only what is asked for.
What these lists name is left out before landing, personal fields among them; what neither they nor
the payload models name is new, and lands and is counted.
"""

_TRADE = """
    acookie_id address_details agree_refund_checks aid alipay_no alipay_point allow_appkeys
    app_name arrive_cut_time arrive_interval asdp_ads asdp_biz_type assembly
    available_confirm_fee biz_code brand_light_shop_source brand_light_shop_store_id
    buyer_alipay_no buyer_area buyer_cod_fee buyer_email buyer_flag buyer_memo buyer_message
    buyer_obtain_point_fee buyer_rate can_rate cloud_store cod_fee cod_status collect_time
    combine_logistics_details commission_fee consign_interval coupon_fee credit_card_fee
    cross_bonded_declare cutoff_minutes delay_create_delivery delivery_cps delivery_plan
    delivery_time dispatch_time donee_nick donee_open_uid drug_register easy_home_city_type
    es_date es_range es_time est_con_time et_plate_number et_ser_time et_shop_id
    et_shop_name et_type et_verified_shop_name eticket_ext eticket_service_addr
    expand_card_basic_price expand_card_basic_price_used expand_card_expand_price
    expand_card_expand_price_used expandcard_info express_agency_fee extend_info
    forbid_consign general_new_presell gifting gifting_takeout has_buyer_message
    has_post_fee has_yfx hk_birthday hk_card_code hk_card_type hk_china_name hk_en_name
    hk_flight_date hk_flight_no hk_gender hk_pickup hk_pickup_id hold_install identify_info
    identity invoice_detail_after_refund invoice_detail_mid_refund invoice_detail_pay is_3D
    is_brand_sale is_cycle_buy is_daixiao is_force_dc is_force_wlb is_gift is_istore is_lgtype
    is_o2o_passport is_openmall is_part_consign is_sh_ship is_wmly is_wt linkedmall_ext_info
    lm logistics_agreement logistics_consign_info logistics_infos logistics_modify_info
    m_tariff_fee mark_desc market ncz_ext_attr new_presell no_shipping nr_deposit_order_id
    nr_no_handle nr_offline nr_shop_guide_id nr_shop_guide_name nr_shop_id nr_shop_name
    nr_store_code nr_store_order_id num_iid o2o o2o_contract o2o_delivery o2o_et_order_id
    o2o_guide_id o2o_guide_name o2o_out_trade_id o2o_service_address o2o_service_city
    o2o_service_district o2o_service_mobile o2o_service_name o2o_service_state
    o2o_service_town o2o_shop_id o2o_shop_name o2o_snatch_status o2o_step_order_id
    o2o_step_trade_detail o2o_step_trade_detail_new o2o_voucher_price o2o_xiaopiao ob_tag
    obs ofp_hold og_id oi_date oi_range omni_attr omni_package omni_param omnichannel_param
    order_follow_id order_tax_fee order_tax_promotion_fee os_date os_range
    outer_partner_member_id paid_coupon_fee pay_channel pcc_af pic_path platform_subsidy_fee
    play_type point_fee post_gate_declare price priority_consign_time promise_service
    promise_sign_time promotion promotion_details propoint q_r_pay real_name_auth_status
    real_point_fee receipt_rel_ids receipt_type receiver_country receiver_district
    receiver_town receiver_zip recharge_fee retail_out_order_id retail_store_code
    retail_store_id root_cat rt_omni_outer_store_id rt_omni_send_type rt_omni_store_id
    rx_audit_status scenario_group seller_alipay_no seller_can_rate seller_cod_fee
    seller_email seller_memo seller_mobile seller_name seller_nick seller_phone seller_rate
    send_time service_orders service_tags service_type share_group_hold shop_code shop_pick
    sid snapshot_url sort_info sorted stage_address_type step_paid_fee step_pay_details
    suning_shop_code suning_shop_valid tcps_code tcps_end tcps_start team_buy_hold
    third_party_customs_declaration tid_str timeout_action_time timing_promise title
    tmall_coupon_fee top_hold toptype trade_attr trade_ext trade_memo trade_source
    txp_freezer_id txp_receive_method ua v_logistics_create wtt_param yfx_fee yfx_id
    yfx_type you_xiang zero_purchase zqs_order_tag
"""

_ORDER = """
    assembly_item assembly_price assembly_rela auto_flow b2b_daixiao bind_oid bind_oids
    bind_oids_all_status biz_code brand_light_shop_source brand_light_shop_store_id
    bundle_id bundle_out_name bundle_type buyer_rate car_store_code car_store_name car_taker
    car_taker_id car_taker_phone cloud_store cloud_store_bind_pos cloud_store_token
    collect_time combine_item_info combo_id credit_buy customization cutoff_minutes
    delivery_time dispatch_time distribute_status down_payment down_payment_ratio es_date
    es_range es_time estimate_con_time et_plate_number et_ser_time et_shop_name
    et_verified_shop_name expand_card_basic_price_used_suborder
    expand_card_expand_price_used_suborder extend_info f_status f_term f_type fqg_num
    gift_mids has_gift hj_settle_no_commission installment_num inv_type invoice_no
    is_daixiao is_devalue_fee is_force_dc is_fqg_s_fee is_free_gift is_idle is_jzfx is_kaola
    is_oversold is_service_order is_sh_ship is_www item_meal_id item_meal_name item_memo
    jewcc_no lijian logistics_company md_fee md_qualification modify_address month_payment
    need_return nr_outer_iid nr_reduce_inv_fail o2o_guide_id o2o_guide_name o2o_shop_id
    o2o_shop_name oid_str one_yuan_reservation_orders order_attr order_from order_taking
    os_activity_id os_date os_fg_item_id os_gift_count os_range os_sort_num out_item_id
    out_unique_id penalty pic_path promise_collect_time promise_end_time promise_service
    propoint retail_store_id rt_omni_outer_sc_id rt_omni_sc_id s_tariff_fee seller_rate
    seller_type service_fee service_order_type service_outer_id ship_info shipper
    shipping_type sign_time sku_properties_name snapshot_url sort_info special_refund_type
    store_code sub_order_tax_fee sub_order_tax_promotion_fee sub_order_tax_rate tail_payment
    tax_coupon_discount tax_free ti_modify_address_time ticket_expdate_key ticket_outer_id
    timeout_action_time timing_promise tmser_spu_code trade_fulfillment_type
    ws_bank_apply_no zhengji_status
"""

_REFUND = """
    address advance_status alipay_no attribute buyer_nick combine_item_info company_name
    cs_status desc good_return_time num_iid operation_contraint ouid outer_id price
    refund_remind_timeout refund_version seller_nick shipping_type sid sku split_seller_fee
    split_taobao_fee title
"""

UNREAD_OF_TRADE = frozenset(_TRADE.split())
UNREAD_OF_ORDER = frozenset(_ORDER.split())
UNREAD_OF_REFUND = frozenset(_REFUND.split())
